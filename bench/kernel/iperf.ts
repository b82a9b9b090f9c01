// iperf3 on the path of `bulk` in the kernel (nodes.ts): its client and server in pods of two nodes, one
// connection through a Service, MTU 1500. The devices are veths, so the kernel hands segments of up to 64 KiB
// from end to end (segmentation offload), which the emulator does not do. Both programs run on the CPU of the
// calling thread.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Libc } from "./libc.ts";
import type { Namespace } from "./namespace.ts";
import { KernelNodes, VIP } from "./nodes.ts";
import { checkMachine } from "./path.ts";
import { KernelUnavailable } from "./unavailable.ts";

const PORT = 8080;
const TOOLS = { ip: "iproute2", bridge: "iproute2", "iptables-restore": "iptables", iperf3: "iperf3" };

interface Report {
  error?: string;
  end: {
    sum_received: { bits_per_second: number };
    sum_sent: { retransmits: number };
    cpu_utilization_percent: { host_total: number; remote_total: number };
  };
}

export interface IperfRun {
  /** 10^9 bits of data the server read, per second. */
  gbps: number;
  /** Share of a core that both programs took, softirqs in their place included. */
  cores: number;
  retransmits: number;
}

export class IperfPath {
  private readonly libc: Libc;
  private readonly nodes: KernelNodes;
  private readonly client: Namespace;
  private readonly server: Namespace;

  private constructor(libc: Libc) {
    this.libc = libc;
    this.nodes = new KernelNodes(libc);
    this.client = this.nodes.addClient();
    this.server = this.nodes.addBackend();
    this.nodes.serve("tcp", PORT);
  }

  /** Builds the path. Throws KernelUnavailable when this machine cannot. */
  static async open(): Promise<IperfPath> {
    checkMachine(TOOLS);
    return new IperfPath(await Libc.load());
  }

  /** Keeps this thread and the programs it starts on one CPU; returns what lets it go. */
  pin(): () => void {
    return this.libc.pin();
  }

  /** One transfer. @param seconds whole */
  async run(seconds: number): Promise<IperfRun> {
    const listening = ["-s", "-1", "-p", String(PORT)];
    const server = this.start(this.server, [...listening, "--forceflush"]);
    try {
      // Its first words: it listens.
      await Promise.race([once(server.stdout as NodeJS.EventEmitter, "data"), exited(server)]);
      const client = this.start(this.client, ["-c", VIP, "-p", String(PORT), "-t", String(seconds), "-J"]);
      let text = "";
      client.stdout?.on("data", (chunk) => {
        text += chunk;
      });
      await exited(client);
      const { error, end } = JSON.parse(text) as Report;
      if (error !== undefined) throw new KernelUnavailable(`cannot run iperf3: ${error}`);
      const { host_total, remote_total } = end.cpu_utilization_percent;
      return {
        gbps: end.sum_received.bits_per_second / 1e9,
        cores: (host_total + remote_total) / 100,
        retransmits: end.sum_sent.retransmits,
      };
    } finally {
      server.kill();
    }
  }

  close(): void {
    this.nodes.close();
  }

  private start(pod: Namespace, args: string[]): ChildProcess {
    return pod.inside(() => spawn("iperf3", args, { stdio: ["ignore", "pipe", "ignore"] }));
  }
}

async function exited(child: ChildProcess): Promise<void> {
  await once(child, "close");
}
