// The path of `vip` in network namespaces of the kernel: client pod, veth, bridge with br_netfilter and
// kube-proxy's rules, NIC, the other node's NIC, its bridge and rules, veth, backend pod. Wired as the
// azure-bridge mode wires it, with less to do for the kernel: neighbours and forwarding entries are static,
// no ebtables, the fabric is a cable, and nobody reads the backends' sockets.
// Packets enter at LOCAL_OUT, as the emulator's do, through raw sockets; the rest of their way runs in
// softirq on the CPU of the sender.

import { readFileSync } from "node:fs";
import { podAddress, podMac } from "./address.ts";
import { Libc } from "./libc.ts";
import { hasTool, Namespace } from "./namespace.ts";
import { PacketBatch } from "./packets.ts";
import { kubeProxyRules } from "./rules.ts";
import { KernelUnavailable } from "./unavailable.ts";

const CIDR = "10.224.0.0/16";
const GATEWAY = "10.224.0.1";
const NODES = ["10.224.0.4", "10.224.0.5"];
const VIP = "10.0.0.10";
/** Third octets of the clients' and the backends' addresses. */
const CLIENTS = 16;
const BACKENDS = 32;
const TOOLS = { ip: "iproute2", bridge: "iproute2", "iptables-restore": "iptables" };
/** Of the machine; namespaces cannot set it. */
const CONNTRACK_MAX = "/proc/sys/net/netfilter/nf_conntrack_max";
const QUIET = { "net.ipv6.conf.all.disable_ipv6": 1, "net.ipv6.conf.default.disable_ipv6": 1 };
const NODE_SYSCTLS = {
  ...QUIET,
  "net.ipv4.ip_forward": 1,
  "net.ipv4.conf.all.rp_filter": 0,
  "net.ipv4.conf.default.rp_filter": 0,
  "net.bridge.bridge-nf-call-iptables": 1,
};

export interface PathSettings {
  flows: number;
  /** Flows of one client pod, and the first of their source ports. */
  portsPerClient: number;
  firstPort: number;
  frameBytes: number;
  backends: number;
  port: number;
  /** Packets that are sent together. */
  batch: number;
}

export interface PathCount {
  offered: number;
  delivered: number;
}

interface Client {
  socket: number;
  packets: PacketBatch;
  ports: number;
  next: number;
}

export class KernelPath {
  private readonly s: PathSettings;
  private readonly libc: Libc;
  private readonly namespaces: Namespace[] = [];
  private readonly backends: Namespace[] = [];
  private readonly clients: Client[] = [];
  private turn = 0;
  private offered = 0;

  private constructor(libc: Libc, s: PathSettings) {
    this.libc = libc;
    this.s = s;
    const [near, far] = NODES.map(() => this.namespace());
    near.tool("ip", ["-batch", "-"], this.nodeLines(0, far));
    far.tool("ip", ["-batch", "-"], this.nodeLines(1, near));
    this.addClients(near);
    this.addBackends(near, far);
    const addresses = this.backends.map((_, i) => podAddress(BACKENDS, i));
    const rules = kubeProxyRules(CIDR, VIP, s.port, addresses);
    for (const node of [near, far]) {
      node.tool("iptables-restore", [], rules);
      node.sysctl(NODE_SYSCTLS);
    }
  }

  /** Builds the path. Throws KernelUnavailable when this machine cannot. */
  static async open(s: PathSettings): Promise<KernelPath> {
    if (process.platform !== "linux") throw new KernelUnavailable("needs Linux");
    if (process.getuid?.() !== 0) throw new KernelUnavailable("needs root: it makes network namespaces");
    for (const [tool, from] of Object.entries(TOOLS))
      if (!hasTool(tool)) throw new KernelUnavailable(`needs ${tool}: apt-get install ${from}`);
    const room = Number(readFileSync(CONNTRACK_MAX, "utf8"));
    if (s.flows > room)
      throw new KernelUnavailable(`has room for ${room} flows: sysctl net.netfilter.nf_conntrack_max`);
    return new KernelPath(await Libc.load(), s);
  }

  /** Keeps this thread, and with it the softirqs it raises, on one CPU; returns what lets it go. */
  pin(): () => void {
    return this.libc.pin();
  }

  /** Sends for some time, one batch at least; nanoseconds it took. */
  send(seconds: number): number {
    const from = performance.now();
    const end = from + seconds * 1e3;
    let now = from;
    do {
      this.batch();
      now = performance.now();
    } while (now < end);
    return (now - from) * 1e6;
  }

  /** Sent so far, and received by the backends' sockets. */
  count(): PathCount {
    return { offered: this.offered, delivered: this.received().reduce((sum, n) => sum + n, 0) };
  }

  /** Datagrams that each backend's socket received. Nobody reads, so its buffer was full for most of them. */
  received(): number[] {
    return this.backends.map((pod) => pod.udpCounters().RcvbufErrors);
  }

  close(): void {
    for (const n of this.namespaces) n.close();
  }

  private batch(): void {
    const { s } = this;
    const c = this.clients[this.turn];
    c.packets.aim(s.firstPort, c.next, c.ports);
    this.offered += this.libc.sendMessages(c.socket, c.packets.messages, s.batch);
    c.next = (c.next + s.batch) % c.ports;
    this.turn = this.turn + 1 === this.clients.length ? 0 : this.turn + 1;
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

  private addClients(near: Namespace): void {
    const { s } = this;
    const mac = podMac(0, 1);
    const gateway = [
      `route add default via ${GATEWAY} dev eth0`,
      `neigh add ${GATEWAY} lladdr ${mac} dev eth0 nud permanent`,
    ];
    for (let i = 0, left = s.flows; left > 0; i++, left -= s.portsPerClient) {
      const pod = this.addPod(near, CLIENTS, i, gateway);
      const socket = pod.inside(() => this.libc.rawSocket(VIP));
      const packets = new PacketBatch(this.libc, s.batch, podAddress(CLIENTS, i), VIP, s.port, s.frameBytes);
      this.clients.push({ socket, packets, ports: Math.min(left, s.portsPerClient), next: 0 });
    }
  }

  private addBackends(near: Namespace, far: Namespace): void {
    const { s } = this;
    for (let i = 0; i < s.backends; i++) {
      const pod = this.addPod(far, BACKENDS, i, []);
      pod.inside(() => this.libc.udpSocket(s.port));
      this.backends.push(pod);
    }
    const all = this.backends.map((_, i) => i);
    const known = (i: number): string => `${podAddress(BACKENDS, i)} lladdr ${podMac(BACKENDS, i)}`;
    const neighbours = all.map((i) => `neigh add ${known(i)} dev azure0 nud permanent`);
    near.tool("ip", ["-batch", "-"], neighbours);
    const at = (i: number, device: string): string =>
      `fdb add ${podMac(BACKENDS, i)} dev ${device} master static`;
    near.tool(
      "bridge",
      ["-batch", "-"],
      all.map((i) => at(i, "eth0")),
    );
    far.tool(
      "bridge",
      ["-batch", "-"],
      all.map((i) => at(i, `veth${BACKENDS}-${i}`)),
    );
  }
}
