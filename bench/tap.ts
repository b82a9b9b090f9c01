// `tap`: UDP frames of one program to another, each in a network namespace of its own, through two TAP
// devices and the bridge of an emulated node; and through a bridge of the kernel, in turns. The sender, the
// kernel's work on its behalf and the emulation share the calling thread, so frames per second are those of
// one core for all of it. Sixty-four are sent at a time, the next when they have come out: nothing is lost to
// a full queue. What a way adds to a round trip is what ping says there, between the sending.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { AttachError } from "../src/attach/attach-error.ts";
import { Libc as SystemCalls } from "../src/attach/libc.ts";
import { LiveNet } from "../src/attach/live-net.ts";
import { NetworkNamespace } from "../src/attach/netns.ts";
import { defineTopology } from "../src/emulator/define.ts";
import { Libc } from "./kernel/libc.ts";
import { hasTool } from "./kernel/namespace.ts";
import { PacketBatch } from "./kernel/packets.ts";
import { KernelUnavailable } from "./kernel/unavailable.ts";
import { machine, round } from "./result.ts";

const BATCH = 64;
const PORT = 8080;
const FIRST_PORT = 20_000;
const SLICE_MS = 250;
/** Turns of the event loop without a frame after which those missing are lost. */
const PATIENCE = 2_000;
const PINGS = 300;
const ADDRESSES = ["10.224.0.5", "10.224.0.6"] as const;

/** Of one way. */
export interface TapSide {
  framesPerSecond: number;
  /** By the processor's time of this process, so that a busy machine counts less. */
  framesPerCoreSecond: number;
  sent: number;
  delivered: number;
  /** Microseconds, by ping. */
  roundTripUs: { median: number; p99: number };
}

export interface TapResult extends TapSide {
  scenario: "tap";
  frameBytes: number;
  seconds: number;
  node: string;
  cpu: string;
  /** Beside the kernel: its bridge, and how many times faster it is. */
  kernel?: TapSide;
  ratio?: number;
  /** Half of what a round trip takes longer, µs: one pass through the emulation. */
  addedLatencyUs?: number;
}

/** From one namespace to another. */
interface Way {
  near: NetworkNamespace;
  far: NetworkNamespace;
  from: string;
  to: string;
  /** Frames that have come out at the far end, as far as somebody counts them. */
  arrived: (() => number) | null;
  close(): void;
}

/** @throws KernelUnavailable without root, koffi, TAP devices, ip or ping */
export async function measureTap(
  settings: { frameBytes: number; seconds: number },
  besideKernel: boolean,
): Promise<TapResult> {
  for (const tool of ["ip", "ping"])
    if (!hasTool(tool)) throw new KernelUnavailable(`needs ${tool} of Linux`);
  const libc = await Libc.load();
  const ways: Way[] = [];
  try {
    ways.push(await emulatedWay());
    if (besideKernel) ways.push(await kernelWay());
    const sides: Side[] = [];
    for (const way of ways) sides.push(await Side.open(libc, way, settings.frameBytes));
    const end = settings.seconds * 1e3 * sides.length;
    for (let spent = 0; spent < end; spent += SLICE_MS * sides.length)
      for (const side of sides) await side.send(SLICE_MS);
    for (const side of sides) await side.ping();
    return resultOf(
      settings,
      sides.map((side) => side.result()),
    );
  } catch (e) {
    if (e instanceof AttachError) throw new KernelUnavailable(e.message);
    throw e;
  } finally {
    for (const way of ways) way.close();
  }
}

function resultOf(s: { frameBytes: number; seconds: number }, [ours, kernel]: TapSide[]): TapResult {
  const { frameBytes, seconds } = s;
  const result: TapResult = { scenario: "tap", frameBytes, seconds, ...(ours as TapSide), ...machine() };
  if (kernel === undefined) return result;
  const added = (result.roundTripUs.median - kernel.roundTripUs.median) / 2;
  const ratio = round(kernel.framesPerCoreSecond / result.framesPerCoreSecond, 1);
  return { ...result, kernel, ratio, addedLatencyUs: round(added, 1) };
}

async function emulatedWay(): Promise<Way> {
  const net = defineTopology({ seed: 7 }, (t) => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const aks = t.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/16"), cni: "azure-bridge" });
    aks.nodes(1);
    aks.pod("near");
    aks.pod("far");
  }).build();
  const live = new LiveNet(net);
  try {
    const [near, far] = [await live.namespace(), await live.namespace()];
    await live.tap("eth0", "pod/near", near);
    const { counters } = await live.tap("eth0", "pod/far", far);
    const [from, to] = [net.pod("near").ip, net.pod("far").ip];
    return { near, far, from, to, arrived: () => counters.out, close: () => live.close() };
  } catch (e) {
    live.close();
    throw e;
  }
}

async function kernelWay(): Promise<Way> {
  const calls = await SystemCalls.load();
  const [near, middle, far] = [0, 1, 2].map(() => NetworkNamespace.create(calls)) as [
    NetworkNamespace,
    NetworkNamespace,
    NetworkNamespace,
  ];
  const lines = ["link add br0 type bridge", "link set br0 up"];
  for (const [i, end] of [near, far].entries()) {
    lines.push(`link add port${i} type veth peer name eth0 netns ${end.path}`);
    lines.push(`link set port${i} master br0 up`);
  }
  middle.tool("ip", ["-batch", "-"], lines);
  for (const [i, end] of [near, far].entries())
    end.tool("ip", ["-batch", "-"], [`addr add ${ADDRESSES[i]}/16 dev eth0`, "link set eth0 up"]);
  const close = (): void => {
    for (const namespace of [near, middle, far]) namespace.close();
  };
  return { near, far, from: ADDRESSES[0], to: ADDRESSES[1], arrived: null, close };
}

class Side {
  private readonly libc: Libc;
  private readonly way: Way;
  private readonly socket: number;
  private readonly batch: PacketBatch;
  private sent = 0;
  private milliseconds = 0;
  private cpuSeconds = 0;
  private before = 0;
  private roundTrips: number[] = [];

  private constructor(libc: Libc, way: Way, frameBytes: number) {
    this.libc = libc;
    this.way = way;
    // The smallest buffer: nobody reads, and what does not fit is dropped where it arrived.
    way.far.inside(() => libc.udpSocket(PORT));
    this.socket = way.near.inside(() => libc.rawSocket(way.to));
    this.batch = new PacketBatch(libc, BATCH, way.from, way.to, PORT, frameBytes);
    this.batch.aim(FIRST_PORT, 0, BATCH);
  }

  /** The first ping resolves addresses. */
  static async open(libc: Libc, way: Way, frameBytes: number): Promise<Side> {
    const side = new Side(libc, way, frameBytes);
    if ((await side.pings(3)).length === 0) throw new KernelUnavailable(`cannot reach ${way.to} by ping`);
    await side.send(SLICE_MS);
    side.sent = side.milliseconds = side.cpuSeconds = 0;
    side.before = side.refused();
    return side;
  }

  async send(milliseconds: number): Promise<void> {
    const { libc, way, batch } = this;
    const cpu = process.cpuUsage();
    const from = performance.now();
    while (performance.now() < from + milliseconds) {
      const before = way.arrived?.() ?? 0;
      const taken = libc.sendMessages(this.socket, batch.messages, BATCH);
      this.sent += taken;
      if (way.arrived !== null) await came(way.arrived, before, taken);
    }
    this.milliseconds += performance.now() - from;
    const { user, system } = process.cpuUsage(cpu);
    this.cpuSeconds += (user + system) / 1e6;
  }

  async ping(): Promise<void> {
    this.roundTrips = (await this.pings(PINGS)).sort((a, b) => a - b);
  }

  result(): TapSide {
    const { sent, milliseconds, roundTrips } = this;
    const delivered = this.refused() - this.before;
    const at = (share: number): number => roundTrips[Math.floor(roundTrips.length * share)] ?? Number.NaN;
    return {
      framesPerSecond: Math.round((delivered * 1e3) / milliseconds),
      framesPerCoreSecond: Math.round(delivered / this.cpuSeconds),
      sent,
      delivered,
      roundTripUs: { median: round(at(0.5), 1), p99: round(at(0.99), 1) },
    };
  }

  /** Datagrams that arrived and found the socket's buffer full, as all do after the first. */
  private refused(): number {
    const text = this.way.far.inside(() => readFileSync("/proc/thread-self/net/snmp", "utf8"));
    const [names, values] = text.split("\n").filter((line) => line.startsWith("Udp: "));
    const column = names.split(" ").indexOf("RcvbufErrors");
    return Number(values.split(" ")[column]);
  }

  /** Round trips in µs. */
  private async pings(count: number): Promise<number[]> {
    const args = ["-n", "-c", String(count), "-i", "0.002", "-W", "2", this.way.to];
    const child = this.way.near.spawn("ping", args, { stdio: ["ignore", "pipe", "ignore"] });
    let text = "";
    child.stdout?.setEncoding("utf8").on("data", (more: string) => {
      text += more;
    });
    await once(child, "close");
    return [...text.matchAll(/ time=([\d.]+) ms/g)].map((match) => Number(match[1]) * 1e3);
  }
}

/** Until those sent have come out. */
async function came(arrived: () => number, before: number, sent: number): Promise<void> {
  let last = before;
  for (let quiet = 0; last < before + sent && quiet < PATIENCE; ) {
    await new Promise((resolve) => setImmediate(resolve));
    const now = arrived();
    quiet = now === last ? quiet + 1 : 0;
    last = now;
  }
}
