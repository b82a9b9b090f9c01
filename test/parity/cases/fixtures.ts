// The node most cases share: the fact sheet's test bed (kube-proxy.md 0.1). Node n1 with bridge cbr0 and
// pods a, b, e; its NIC on a subnet with another node n2 (pods c, d behind it) and an outside host x.

import {
  FABRIC_MAC,
  type FabricSpec,
  type NodeCase,
  type NodeSpec,
  type PodSpec,
  type ProxySpec,
  type ServiceSpec,
  type Step,
} from "../case.ts";
import type { Host } from "../frame.ts";

export const NIC: Host = { mac: "00:0d:3a:00:00:01", ip: "10.0.0.1" };
export const N2: Host = { mac: "00:0d:3a:00:00:02", ip: "10.0.0.2" };
export const X: Host = { mac: "00:0d:3a:00:00:64", ip: "10.0.0.100" };
export const GATEWAY: Host = { mac: "00:0d:3a:00:00:fe", ip: "10.0.0.254" };
export const BRIDGE: Host = { mac: "02:00:0a:f4:01:01", ip: "10.244.1.1" };
export const A: Host = { mac: "02:00:0a:f4:01:02", ip: "10.244.1.2" };
export const B: Host = { mac: "02:00:0a:f4:01:03", ip: "10.244.1.3" };
export const E: Host = { mac: "02:00:0a:f4:01:04", ip: "10.244.1.4" };
/** Pods of n2, as seen from n1: behind n2's MAC. */
export const C: Host = { mac: N2.mac, ip: "10.244.2.2" };
export const D: Host = { mac: N2.mac, ip: "10.244.2.3" };
/** Answers ARP as Azure does and sends datagrams back. */
export const FABRIC: FabricSpec = { arp: FABRIC_MAC, echo: true };
export const VIP = "10.96.0.10";

/** Frames for an address beyond the pod's subnet go to the bridge. */
export function via(gateway: Host, ip: string): Host {
  return { mac: gateway.mac, ip };
}

export function pod(name: string, host: Host, extra: Partial<PodSpec> = {}): PodSpec {
  const hostMac = host.mac.replace(/^02:00/, "02:01");
  return { name, ip: host.ip, prefix: 24, mac: host.mac, hostMac, ...extra };
}

/** Pods a, b, e that answer ARP only: what a case sees is then the node's doing alone. */
export function bridgeNode(extra: Partial<NodeSpec> = {}): NodeSpec {
  return {
    attachment: "bridge",
    nic: { mac: NIC.mac, ip: NIC.ip, prefix: 24 },
    bridge: { device: "cbr0", mac: BRIDGE.mac, ip: BRIDGE.ip, prefix: 24 },
    pods: [quiet("a", A), quiet("b", B), quiet("e", E)],
    routes: [{ type: "unicast", to: "10.244.2.0/24", via: N2.ip }],
    neighbours: [
      { device: "eth0", ip: N2.ip, mac: N2.mac },
      { device: "eth0", ip: X.ip, mac: X.mac },
    ],
    ...extra,
  };
}

/** A pod whose kernel answers ARP only. */
export function quiet(name: string, host: Host, extra: Partial<PodSpec> = {}): PodSpec {
  return pod(name, host, { stack: "arp", ...extra });
}

/** Entries for the pods, so that no ARP stands between a case and what it shows. */
export const POD_NEIGHBOURS = [A, B, E].map((h) => ({ device: "cbr0", ip: h.ip, mac: h.mac }));

export function proxy(services: ServiceSpec[], extra: Partial<ProxySpec> = {}): ProxySpec {
  return { mode: "iptables", clusterCidr: "10.244.0.0/16", services, ...extra };
}

export function service(
  name: string,
  proto: "tcp" | "udp",
  port: number,
  to: [string, number][],
): ServiceSpec {
  return { name, vip: VIP, proto, port, endpoints: to.map(([ip, p]) => ({ ip, port: p })) };
}

export function makeCase(name: string, facts: string[], node: NodeSpec, steps: Step[]): NodeCase {
  return { name, facts, node, steps };
}
