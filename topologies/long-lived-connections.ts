// What happens to long-lived TCP connections when their backend goes. Three clients keep a connection open
// through a Service; one backend is removed properly, one dies without a word, one stays. The client of the
// first sees a FIN at once; the client of the second sees nothing, sends into silence, and gives up when its
// retransmissions have: after fifteen of them, a quarter of an hour later (kube-proxy.md 5.3). kube-proxy
// cleans conntrack for UDP only, so the entry of the dead backend stays, and only a new connection finds a
// live one. Keepalive or TCP_USER_TIMEOUT would have told sooner, as the last client shows.

import { defineTopology, expect, formatTime, ms, type Net, sec, type TcpConnection } from "vnetem";

export default defineTopology({ seed: 7 }, (t) => {
  const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
  const nodes = vnet.subnet("nodes", "10.224.0.0/16");
  const aks = t.cluster("aks", { subnet: nodes, cni: "azure-transparent" });
  aks.nodes(3);
  aks.deployment("web", { replicas: 3, tcpEcho: 8080 });
  aks.service("web", { port: 80, targetPort: 8080 });
  aks.pod("client");
});

export function run(net: Net) {
  // Round robin: the first connection goes to web-0, the second to web-1, the third to web-2, and so on.
  const removed = net.at(ms(1)).connect("client", "web:80");
  const dead = net.at(ms(2)).connect("client", "web:80");
  const kept = net.at(ms(3)).connect("client", "web:80");
  net.at(ms(4)).connect("client", "web:80");
  const careful = net.at(ms(5)).connect("client", "web:80", { userTimeout: sec(10) });

  for (const c of [removed, dead, kept]) net.at(sec(1)).send(c, "hello");
  net.at(sec(2)).removePod("web-0");
  net.at(sec(2)).failPod("web-1");
  for (const c of [dead, kept, careful]) net.at(sec(3)).send(c, "still there?");
  net.run({ until: sec(1200) });

  net.log(`backend removed:   ${story(removed)}`);
  net.log(`backend dead:      ${story(dead)}`);
  net.log(`  with TCP_USER_TIMEOUT of 10 s: ${story(careful)}`);
  net.log(`backend untouched: ${story(kept)}`);
  expect(removed.endedAt).toBe(sec(2));
  expect(dead.text).toBe("hello");
  expect(dead.errorAt ?? 0).toBeAtLeast(sec(900));
  expect(careful.errorAt ?? sec(1000)).toBeAtMost(sec(20));
  expect(kept.text).toBe("hellostill there?");

  const again = net.tcp("client").connect("web:80");
  net.run({ for: ms(10) });
  net.log(`a new connection:  ${story(again)}`);
}

function story(c: TcpConnection): string {
  const parts = c.seen.map((s) => {
    const what = s.what === "data" ? `${s.bytes} bytes` : (s.error ?? s.what);
    return `${what} at ${formatTime(s.time)}`;
  });
  return parts.join(", ");
}
