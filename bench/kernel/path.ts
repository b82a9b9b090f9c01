// The path of `vip` in network namespaces of the kernel (nodes.ts): client pod, veth, bridge with
// br_netfilter and kube-proxy's rules, NIC, the other node's NIC, its bridge and rules, veth, backend pod.
// Nobody reads the backends' sockets.
// Packets enter at LOCAL_OUT, as the emulator's do, through raw sockets; the rest of their way runs in
// softirq on the CPU of the sender.

import { readFileSync } from "node:fs";
import { podAddress } from "./address.ts";
import { Libc } from "./libc.ts";
import { hasTool, type Namespace } from "./namespace.ts";
import { CLIENTS, KernelNodes, VIP } from "./nodes.ts";
import { PacketBatch } from "./packets.ts";
import { KernelUnavailable } from "./unavailable.ts";

const TOOLS = { ip: "iproute2", bridge: "iproute2", "iptables-restore": "iptables" };
/** Of the machine; namespaces cannot set it. */
const CONNTRACK_MAX = "/proc/sys/net/netfilter/nf_conntrack_max";

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
  private readonly nodes: KernelNodes;
  private readonly backends: Namespace[] = [];
  private readonly clients: Client[] = [];
  private turn = 0;
  private offered = 0;

  private constructor(libc: Libc, s: PathSettings) {
    this.libc = libc;
    this.s = s;
    this.nodes = new KernelNodes(libc);
    this.addClients();
    for (let i = 0; i < s.backends; i++) {
      const pod = this.nodes.addBackend();
      pod.inside(() => libc.udpSocket(s.port));
      this.backends.push(pod);
    }
    this.nodes.serve("udp", s.port);
  }

  /** Builds the path. Throws KernelUnavailable when this machine cannot. */
  static async open(s: PathSettings): Promise<KernelPath> {
    checkMachine(TOOLS);
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
    this.nodes.close();
  }

  private batch(): void {
    const { s } = this;
    const c = this.clients[this.turn];
    c.packets.aim(s.firstPort, c.next, c.ports);
    this.offered += this.libc.sendMessages(c.socket, c.packets.messages, s.batch);
    c.next = (c.next + s.batch) % c.ports;
    this.turn = this.turn + 1 === this.clients.length ? 0 : this.turn + 1;
  }

  private addClients(): void {
    const { s, libc } = this;
    for (let i = 0, left = s.flows; left > 0; i++, left -= s.portsPerClient) {
      const pod = this.nodes.addClient();
      const socket = pod.inside(() => libc.rawSocket(VIP));
      const packets = new PacketBatch(libc, s.batch, podAddress(CLIENTS, i), VIP, s.port, s.frameBytes);
      this.clients.push({ socket, packets, ports: Math.min(left, s.portsPerClient), next: 0 });
    }
  }
}

/** What every path needs. @param tools programs and the packages they come from. Throws KernelUnavailable */
export function checkMachine(tools: Readonly<Record<string, string>>): void {
  if (process.platform !== "linux") throw new KernelUnavailable("needs Linux");
  if (process.getuid?.() !== 0) throw new KernelUnavailable("needs root: it makes network namespaces");
  for (const [tool, from] of Object.entries(tools))
    if (!hasTool(tool)) throw new KernelUnavailable(`needs ${tool}: apt-get install ${from}`);
}
