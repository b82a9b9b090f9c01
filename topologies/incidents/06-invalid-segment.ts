// A segment 10 MB beyond the window arrives from the server's host. Conntrack calls it INVALID and leaves it
// untranslated; the client does not know the pod's address and resets, with a number the server believes.

import { ms } from "vnetem";
import { checksum, cluster, ECHO, four, frame, incident, TCP, two } from "./incident.ts";

const { topology, run } = incident({
  title: "A stray segment resets a connection",
  reference: "#74839, #117924",
  why: "what is INVALID is not translated back; the rule in KUBE-FORWARD drops it",
  network(t, isFixed) {
    const aks = cluster(t, 2, { kubeProxy: { dropInvalid: isFixed } });
    aks
      .pod("web", { node: "n1", ...ECHO })
      .service("web", TCP)
      .pod("client", { node: "n0", labels: {} });
  },
  play(net) {
    const c = net.tcp("client").connect("web:80");
    c.send("one");
    net.run({ for: ms(50) });
    const t = net.walk.sock.tcp;
    const own = net.hosts.host("web").ns;
    let row = t.ofNs.firstOf(own);
    while (row >= 0 && t.remotePort[row] === 0) row = t.ofNs.next[row] ?? -1;
    const ip = { src: net.pod("web").ip, dst: net.pod("client").ip, protocol: 6 };
    const seq = four((t.sndNxt[row] ?? 0) + 10_000_000);
    const ports = [...two(8080), ...two(Number(c.local.split(":")[1]))];
    const tcp = [...ports, ...seq, ...four(t.rcvNxt[row] ?? 0), 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0];
    const addresses = [...ip.src.split("."), ...ip.dst.split(".")].map(Number);
    tcp.splice(16, 2, ...two(checksum([...addresses, 0, 6, ...two(tcp.length), ...tcp])));
    net.soon.sendFrame("web/eth0", frame(net, "web/eth0", ip, tcp));
    net.run({ for: ms(50) });
    c.send("two");
    net.run({ for: ms(500) });
    const seen = `the client read "${c.text}", ${c.error ?? c.state}`;
    c.reset();
    return seen;
  },
  broken: 'the client read "one", ECONNRESET',
  fixed: 'the client read "onetwo", ESTABLISHED',
});

export default topology;
export { run };
