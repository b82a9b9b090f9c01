// What the incidents share: two variants of one network, the same client in both, and what it sees. Running
// an incident plays the broken variant and the fixed one, prints both, and holds them to what is expected.

import { defineTopology, expect, ms, type Net, type Topology, type TopologyBuilder } from "vnetem";

export interface Incident {
  title: string;
  /** Issues it was reported in; numbers are those of kubernetes/kubernetes. */
  reference: string;
  /** What happens, and why. */
  why: string;
  network(t: TopologyBuilder, isFixed: boolean): void;
  /** What the client sees, in one line. */
  play(net: Net, isFixed: boolean): string;
  broken: string;
  fixed: string;
}

export interface Played {
  topology: Topology;
  run(net: Net): void;
}

export function incident(i: Incident): Played {
  const build = (isFixed: boolean): Topology =>
    defineTopology({ seed: 7, frames: 2048 }, (t) => i.network(t, isFixed));
  const topology = build(false);
  const run = (net: Net): void => {
    const broken = i.play(net, false);
    const fixed = i.play(build(true).build(), true);
    net.log(`${i.title} (${i.reference})`);
    net.log(`  broken: ${broken}`);
    net.log(`  fixed:  ${fixed}`);
    net.log(`  ${i.why}`);
    expect(broken).toBe(i.broken);
    expect(fixed).toBe(i.fixed);
  };
  return { topology, run };
}

type ClusterOptions = Parameters<TopologyBuilder["cluster"]>[1];

/** A cluster "aks" in 10.224.0.0/16, with nodes n0, n1, … */
export function cluster(t: TopologyBuilder, nodes: number, options: Partial<ClusterOptions> = {}) {
  const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
  const subnet = vnet.subnet("nodes", "10.224.0.0/16");
  const aks = t.cluster("aks", { subnet, cni: "azure-overlay", ...options });
  return aks.nodes(nodes);
}

export const NODES = { path: "prod/nodes" };
export const ECHO = { udpEcho: 8080, tcpEcho: 8080 };
export const UDP = { port: 80, targetPort: 8080, protocol: "UDP" } as const;
export const TCP = { port: 80, targetPort: 8080 } as const;

/** One datagram, from a port of its own unless one is named: who answers, the error, or "silence". */
export function ask(net: Net, from: string, to: string, sourcePort?: number): string {
  const sent = net.soon.udp(from, to, "x", sourcePort === undefined ? {} : { sourcePort });
  net.run({ for: ms(50) });
  if (sent.reply !== null) return sent.deliveredTo ?? "somebody";
  return sent.error ?? "silence";
}

/** One connection that sends "hello": "answered", the error, or what became of it after `wait` ns. */
export function dial(net: Net, from: string, to: string, wait = ms(500)): string {
  const c = net.tcp(from).connect(to);
  c.send("hello");
  net.run({ for: wait });
  const seen = c.text === "hello" ? "answered" : (c.error ?? "no connection");
  if (seen === "answered") c.close();
  else c.reset();
  net.run({ for: ms(50) });
  return seen;
}

/** An Ethernet frame with an IPv4 packet from one interface to its neighbour's: veth, or the gateway. */
export function frame(
  net: Net,
  device: string,
  ip: { src: string; dst: string; protocol: number },
  payload: readonly number[],
): Uint8Array {
  const { dev } = net.walk.k;
  const from = net.hosts.device(device);
  const header = [
    ...[0x45, 0, ...two(20 + payload.length), 0, 0, 0, 0, 64, ip.protocol, 0, 0],
    ...[...ip.src.split("."), ...ip.dst.split(".")].map(Number),
  ];
  header.splice(10, 2, ...two(checksum(header)));
  const mac = (d: number): number[] => [...two(dev.macHi[d] ?? 0), ...four(dev.macLo[d] ?? 0)];
  return Uint8Array.from([...mac(dev.peer[from] ?? from), ...mac(from), 8, 0, ...header, ...payload]);
}

/** A UDP header and data; without a checksum, which UDP allows. */
export function udpDatagram(sport: number, dport: number, data: readonly number[] = []): number[] {
  return [...two(sport), ...two(dport), ...two(8 + data.length), 0, 0, ...data];
}

export const two = (n: number): number[] => [(n >> 8) & 0xff, n & 0xff];
export const four = (n: number): number[] => [...two(n >>> 16), ...two(n)];

/** RFC 1071. */
export function checksum(bytes: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
