// What the tests that carry upstream's names share (K 6): who answers, over UDP and over TCP.

import type { Net } from "../../src/emulator/net.ts";
import { ms } from "../../src/emulator/units.ts";
import { TcpState } from "../../src/socket/tcp/state.ts";
import { formatIpv4 } from "../../src/wire/address.ts";

export type { Net } from "../../src/emulator/net.ts";
export { ms, sec } from "../../src/emulator/units.ts";
export { cluster, end } from "../emulator/kit.ts";

export const UDP = { port: 80, targetPort: 8080, protocol: "UDP" } as const;
export const TCP = { port: 80, targetPort: 8080, protocol: "TCP" } as const;
/** One port number for both protocols. */
export const BOTH = [
  { name: "udp", ...UDP },
  { name: "tcp", ...TCP },
] as const;
/** What the pods of most tests answer on. */
export const ECHO = { udpEcho: 8080, tcpEcho: 8080 } as const;

/** Who answers one datagram after the other, each a new connection; the error, or "-" for silence. */
export function udp(net: Net, from: string, to: string, count = 1): string {
  return Array.from({ length: count }, () => {
    const sent = net.soon.udp(from, to, "x");
    net.run({ for: ms(5) });
    return sent.reply === null ? (sent.error ?? "-") : sent.deliveredTo;
  }).join(" ");
}

/** Who echoes on one connection after the other; the error, or "-" when 50 ms bring none. */
export function tcp(net: Net, from: string, to: string, count = 1): string {
  return Array.from({ length: count }, () => {
    const before = accepted(net);
    const c = net.tcp(from).connect(to);
    net.soon.send(c, "hello");
    net.run({ for: ms(50) });
    const answered = c.text === "hello";
    const after = accepted(net);
    const error = c.error ?? "-";
    if (answered) c.close();
    else c.reset();
    net.run({ for: ms(5) });
    if (!answered) return error;
    return [...after].find(([name, n]) => n > (before.get(name) ?? 0))?.[0] ?? "nobody";
  }).join(" ");
}

/** The same over both. */
export const both = (net: Net, from: string, to: string): string =>
  `${udp(net, from, to)} ${tcp(net, from, to)}`;

// Connections accepted so far, by host.
function accepted(net: Net): Map<string, number> {
  const t = net.walk.sock.tcp;
  const { ns } = net.walk.k;
  const out = new Map<string, number>();
  for (let n = 0; n < ns.ids.used; n++) {
    if (ns.alive[n] === 0) continue;
    for (let row = t.ofNs.firstOf(n); row >= 0; row = t.ofNs.next[row]!) {
      if (t.state[row] !== TcpState.LISTEN) continue;
      out.set(ns.name[n]!, (out.get(ns.name[n]!) ?? 0) + t.connections[row]!);
    }
  }
  return out;
}

export const nodePort = (net: Net, service = "web", port = 0): number =>
  net.serviceInfo(service).ports[port]!.nodePort!;

/** Whom a TCP server in `host` sees when `from` connects to `to`: a name, or the address. */
export function seenBy(net: Net, host: string, port: number, from: string, to: string): string {
  const server = net.tcp(host).listen(port);
  const c = net.tcp(from).connect(to);
  net.run({ for: ms(50) });
  const source = server.connections[0]?.remote.replace(/:\d+$/, "") ?? "nobody";
  c.reset();
  server.close();
  net.run({ for: ms(5) });
  // A node before the host-network pods that share its address.
  const nodes = net.clusters.flatMap((k) => k.nodes.map((n) => n.name));
  const hosts = [...nodes, ...net.hosts.hostNames()].map((name) => [
    formatIpv4(net.hosts.host(name).ip),
    name,
  ]);
  return hosts.find(([ip]) => ip === source)?.[1] ?? source;
}

/** What a node's health-check port says to somebody who asks over HTTP: the status; null for no answer. */
export function healthOf(net: Net, from: string, node: string, port = checkPort(net)): number | null {
  const c = net.tcp(from).connect(`${node}:${port}`);
  net.soon.send(c, "GET / HTTP/1.1\r\nHost: node\r\n\r\n");
  net.run({ for: ms(20) });
  const status = /^HTTP\/1\.1 (\d+) /.exec(c.text)?.[1];
  c.close();
  net.run({ for: ms(5) });
  return status === undefined ? null : Number(status);
}

const checkPort = (net: Net): number => net.serviceInfo("web").healthCheckNodePort!;
