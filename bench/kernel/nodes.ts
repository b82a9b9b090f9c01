// Two nodes in network namespaces of the kernel, wired as the azure-bridge mode wires them: bridge with
// br_netfilter, a NIC each, a cable for a fabric; pods on both, and kube-proxy's rules for one Service. With
// less to do for the kernel: the way to the backends is static, there are no ebtables.

import { podAddress, podMac } from "./address.ts";
import type { Libc } from "./libc.ts";
import { Namespace } from "./namespace.ts";
import { kubeProxyRules } from "./rules.ts";

const CIDR = "10.224.0.0/16";
const GATEWAY = "10.224.0.1";
const NODES = ["10.224.0.4", "10.224.0.5"];
/** Address of the Service. */
export const VIP = "10.0.0.10";
/** Third octets of the clients' and the backends' addresses. */
export const CLIENTS = 16;
const BACKENDS = 32;
const QUIET = { "net.ipv6.conf.all.disable_ipv6": 1, "net.ipv6.conf.default.disable_ipv6": 1 };
const NODE_SYSCTLS = {
  ...QUIET,
  "net.ipv4.ip_forward": 1,
  "net.ipv4.conf.all.rp_filter": 0,
  "net.ipv4.conf.default.rp_filter": 0,
  "net.bridge.bridge-nf-call-iptables": 1,
};

export class KernelNodes {
  private readonly libc: Libc;
  private readonly namespaces: Namespace[] = [];
  private readonly near: Namespace;
  private readonly far: Namespace;
  private clients = 0;
  private backends = 0;

  constructor(libc: Libc) {
    this.libc = libc;
    this.near = this.namespace();
    this.far = this.namespace();
    this.near.tool("ip", ["-batch", "-"], this.nodeLines(0, this.far));
    this.far.tool("ip", ["-batch", "-"], this.nodeLines(1, this.near));
  }

  /** A pod of the first node; its gateway is the Service's way. */
  addClient(): Namespace {
    const gateway = [
      `route add default via ${GATEWAY} dev eth0`,
      `neigh add ${GATEWAY} lladdr ${podMac(0, 1)} dev eth0 nud permanent`,
    ];
    return this.addPod(this.near, CLIENTS, this.clients++, gateway);
  }

  /** A pod of the second node. */
  addBackend(): Namespace {
    return this.addPod(this.far, BACKENDS, this.backends++, []);
  }

  /** The way to the backends there are, and the rules of a Service that they are the endpoints of. */
  serve(protocol: "tcp" | "udp", port: number): void {
    const all = Array.from({ length: this.backends }, (_, i) => i);
    const known = (i: number): string => `${podAddress(BACKENDS, i)} lladdr ${podMac(BACKENDS, i)}`;
    const neighbours = all.map((i) => `neigh add ${known(i)} dev azure0 nud permanent`);
    this.near.tool("ip", ["-batch", "-"], neighbours);
    const at = (i: number, device: string): string =>
      `fdb add ${podMac(BACKENDS, i)} dev ${device} master static`;
    const nearLines = all.map((i) => at(i, "eth0"));
    const farLines = all.map((i) => at(i, `veth${BACKENDS}-${i}`));
    this.near.tool("bridge", ["-batch", "-"], nearLines);
    this.far.tool("bridge", ["-batch", "-"], farLines);
    const addresses = all.map((i) => podAddress(BACKENDS, i));
    const rules = kubeProxyRules(CIDR, VIP, protocol, port, addresses);
    for (const node of [this.near, this.far]) {
      node.tool("iptables-restore", [], rules);
      node.sysctl(NODE_SYSCTLS);
    }
  }

  close(): void {
    for (const n of this.namespaces) n.close();
  }

  private namespace(): Namespace {
    const n = new Namespace(this.libc);
    this.namespaces.push(n);
    n.sysctl(QUIET);
    return n;
  }

  /** Bridge azure0 with the node's address, and its NIC as a port; the first node makes the cable. */
  private nodeLines(node: number, other: Namespace): string[] {
    const nic = node === 0 ? [`link add name eth0 type veth peer name eth0 netns ${other.path}`] : [];
    return [
      "link set lo up",
      "link add name azure0 type bridge mcast_snooping 0",
      ...nic,
      "link set eth0 master azure0",
      "link set eth0 up",
      "link set azure0 up",
      `addr add ${NODES[node]}/16 dev azure0`,
    ];
  }

  /** Makes pod `i` at a node's bridge, with one address; `more` is for its own ip(8). */
  private addPod(node: Namespace, kind: number, i: number, more: readonly string[]): Namespace {
    const pod = this.namespace();
    const end = `veth${kind}-${i}`;
    const peer = `peer name eth0 address ${podMac(kind, i)} netns ${pod.path}`;
    const lines = [`link add name ${end} type veth ${peer}`, `link set ${end} master azure0 up`];
    node.tool("ip", ["-batch", "-"], lines);
    pod.tool(
      "ip",
      ["-batch", "-"],
      ["link set lo up", "link set eth0 up", `addr add ${podAddress(kind, i)}/16 dev eth0`, ...more],
    );
    return pod;
  }
}
