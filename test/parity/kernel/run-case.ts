// Runs one case on the kernel: build the node, wait until its links run, then step by step change, send and
// capture.
//
// Coming to rest needs no waiting: a frame sent into a veth is carried by the sender's own soft interrupt
// through bridge, netfilter and stack up to the answer's last device before send() returns. So after each
// frame: drain the capture, let responders and sockets answer, and repeat until nothing new appears.
// VNETEM_PARITY_IDLE_MS=3 adds a real wait before each verdict "at rest", to check that claim.

import { setTimeout as sleep } from "node:timers/promises";
import { type ArmResult, type Captured, hostDevice, type NodeCase, nicDevice, type Send } from "../case.ts";
import { Masks } from "../masks.ts";
import { arpReplyTo, echoOf } from "../responders.ts";
import { BuiltNode } from "./build-node.ts";
import { CaptureSocket, type RawFrame, type TransmitSocket } from "./packet-socket.ts";
import { readState } from "./read-state.ts";

const IDLE_MS = Number(process.env.VNETEM_PARITY_IDLE_MS ?? 0);
const ENOBUFS = 105;
const SLOW_MS = 100;
const LATE_SLOW_MS = 60;
const LATE_MS = 400;
/** The tables are read by four tools, meanwhile entries age. */
const STATE_MS = 1000;
const TRIES = 8;
const LINKS_UP_MS = 3000;
const POLL_MS = 5;

export interface KernelOptions {
  /** Give the namespaces names that outlive the run. */
  keep?: boolean;
}

/** Where a run spent its time, milliseconds. */
export interface KernelTiming {
  build: number;
  steps: number;
  state: number;
}

export interface KernelResult extends ArmResult {
  timing: KernelTiming;
  /** How far the run fell behind the case's times at worst, milliseconds: the machine was busy. */
  late: number;
  /** Kernel time stamps of `frames`, nanoseconds since the first step. */
  times: number[];
}

let runs = 0;

/** Cases about timers must keep their times: the kernel's clocks tick on while a busy machine is late. */
export function isSlow(c: NodeCase): boolean {
  return (c.steps.at(-1)?.at ?? 0) >= SLOW_MS;
}

/** The run fell behind, or a random port came out as one the case names. */
export function mustRepeat(c: NodeCase, result: KernelResult): boolean {
  return new Masks(c).unlucky(result.state?.conntrack ?? []) || fellBehind(c, result);
}

export function fellBehind(c: NodeCase, result: KernelResult): boolean {
  return result.late > (c.lateLimit ?? (isSlow(c) ? LATE_SLOW_MS : LATE_MS));
}

/** Runs a case, again if it fell too far behind its times or was unlucky. */
export async function runOnKernel(c: NodeCase, options: KernelOptions = {}): Promise<KernelResult> {
  let result: KernelResult;
  let tries = 0;
  do result = await (await prepareOnKernel(c, options)).finish();
  while (mustRepeat(c, result) && ++tries < TRIES);
  return result;
}

/** A built node at rest, before its first step. finish() must be called, and cleans up whatever happens. */
export interface Prepared {
  finish(): Promise<KernelResult>;
}

export async function prepareOnKernel(c: NodeCase, options: KernelOptions = {}): Promise<Prepared> {
  const t0 = performance.now();
  const built = new BuiltNode(c.node, `${++runs}`);
  const run = new Run(c, built);
  try {
    if (options.keep === true) keepNames(built);
    await run.linksUp();
  } catch (e) {
    run.close();
    throw e;
  }
  const build = performance.now() - t0;
  return {
    async finish(): Promise<KernelResult> {
      try {
        const t1 = performance.now();
        await run.steps();
        run.assertComplete();
        const t2 = performance.now();
        const state = c.compareState === false ? null : readState(c, built);
        const timing = { build, steps: t2 - t1, state: performance.now() - t2 };
        const late = isSlow(c) && timing.state > STATE_MS ? Number.POSITIVE_INFINITY : run.late;
        return { frames: run.captured, state, timing, late, times: run.times };
      } finally {
        run.close();
      }
    },
  };
}

function keepNames(built: BuiltNode): void {
  built.node.keep();
  for (const p of built.pods.values()) p.namespace.keep();
}

class Run {
  readonly captured: Captured[] = [];
  readonly times: number[] = [];
  late = 0;
  readonly #case: NodeCase;
  readonly #built: BuiltNode;
  readonly #capture: CaptureSocket;
  #names: Map<number, string>;
  #step = 0;
  #begin = 0n;

  constructor(c: NodeCase, built: BuiltNode) {
    this.#case = c;
    this.#built = built;
    this.#capture = built.node.inside(() => new CaptureSocket(built.node.fd));
    this.#names = built.deviceNames();
  }

  /** Returns when every device runs; what the kernel sent while they came up is not part of the case. */
  async linksUp(): Promise<void> {
    const deadline = performance.now() + LINKS_UP_MS;
    for (let late = this.#built.late(); late.length > 0; late = this.#built.late()) {
      if (performance.now() > deadline) throw new Error(`${this.#case.name}: ${late.join()} did not come up`);
      await sleep(1);
    }
    this.#capture.drain([]);
  }

  async steps(): Promise<void> {
    const start = performance.now();
    this.#begin = BigInt(Date.now()) * 1_000_000n;
    for (const [i, step] of this.#case.steps.entries()) {
      await this.#waitUntil(start + step.at);
      this.#step = i;
      this.late = Math.max(this.late, performance.now() - start - step.at);
      for (const change of step.change ?? []) {
        this.#built.change(change);
        if (change.kind === "add-pod" || (change.kind === "link" && change.up)) await this.#afterLink();
        await this.#rest();
      }
      for (const send of step.send ?? []) {
        this.#send(send);
        await this.#rest();
      }
    }
  }

  assertComplete(): void {
    this.#capture.assertNothingLost();
  }

  async #afterLink(): Promise<void> {
    this.#names = new Map([...this.#names, ...this.#built.deviceNames()]);
    for (let i = 0; i < 500 && this.#built.late().length > 0; i++) await sleep(1);
  }

  #send(send: Send): void {
    if ("udp" in send) {
      const { from, to, port, text } = send.udp;
      return this.#built.talk(send.in, from, to, port, text);
    }
    const errno = this.#transmit(send.at).send(Buffer.from(send.frame, "hex"));
    // A frame beyond the peer's MTU is lost in veth_xmit, and the sender is told.
    if (errno !== 0 && errno !== ENOBUFS)
      throw new Error(`${this.#case.name} step ${this.#step}: send at ${send.at}: errno ${errno}`);
  }

  #transmit(at: string): TransmitSocket {
    if (at === "nic") return this.#built.nicWire;
    const pod = this.#built.pods.get(at.slice(4));
    if (pod === undefined) throw new Error(`${this.#case.name} step ${this.#step}: no pod ${at.slice(4)}`);
    return pod.transmit;
  }

  async #waitUntil(time: number): Promise<void> {
    for (let left = time - performance.now(); left > 0; left = time - performance.now()) {
      await sleep(Math.min(left, POLL_MS));
      await this.#rest();
    }
  }

  async #rest(): Promise<void> {
    for (;;) {
      while (this.#round()) {}
      if (IDLE_MS === 0) return;
      await sleep(IDLE_MS);
      if (!this.#round()) return;
    }
  }

  /** Sockets answer first, as if they were part of the kernel; then the fabric and the quiet pods answer what
   * was captured. False when there was nothing. */
  #round(): boolean {
    let served = false;
    for (const s of this.#built.sockets) served = s.serve() || served;
    if (served) return true;
    const raw: RawFrame[] = [];
    this.#capture.drain(raw);
    for (const frame of raw) this.#take(frame);
    return raw.length > 0;
  }

  #take(raw: RawFrame): void {
    const device = this.#names.get(raw.deviceIndex);
    if (device === undefined) return; // loopback
    this.captured.push({ step: this.#step, device, direction: raw.direction, bytes: raw.bytes });
    this.times.push(Number(raw.time - this.#begin));
    if (raw.direction === "out") this.#respond(device, raw.bytes);
  }

  /** The fabric at the NIC's far end, and pods that answer ARP only. */
  #respond(device: string, frame: Uint8Array): void {
    const node = this.#built.spec;
    if (device === nicDevice(node)) {
      if (node.fabric?.arp !== undefined) {
        const reply = arpReplyTo(frame, node.fabric.arp, null);
        if (reply !== null) this.#built.nicWire.send(reply);
      }
      if (node.fabric?.echo === true) {
        const echo = echoOf(frame);
        if (echo !== null) this.#built.nicWire.send(echo);
      }
      return;
    }
    const pod = node.pods.find((p) => hostDevice(node, p) === device);
    if (pod?.stack !== "arp") return;
    const reply = arpReplyTo(frame, pod.mac, pod.ip);
    if (reply !== null) this.#built.pods.get(pod.name)!.transmit.send(reply);
  }

  close(): void {
    this.#capture.close();
    this.#built.close();
  }
}
