// The emulator arm: the same case, the same text, on the virtual clock. A step's frames are walked to the end
// before the next frame is sent; what timers cause until the next step belongs to the step before, as in the
// kernel arm.

import { Direction } from "../../../src/node/capture.ts";
import type { Kernel } from "../../../src/node/kernel.ts";
import { NoteKind } from "../../../src/node/notes.ts";
import { udpOpen } from "../../../src/socket/open.ts";
import { transmitFrame } from "../../../src/socket/packet.ts";
import { SocketKind } from "../../../src/socket/sockets.ts";
import { udpSend } from "../../../src/socket/udp-send.ts";
import {
  type Arm,
  type ArmResult,
  type Captured,
  hostDevice,
  type NodeCase,
  nicDevice,
  type Port,
  type Send,
} from "../case.ts";
import { dropKey, protocolOf, type Verdict } from "../random/coverage.ts";
import { arpReplyTo, echoOf } from "../responders.ts";
import { EmulatedNode } from "./build-node.ts";
import { applyChange } from "./change.ts";
import { address } from "./parse.ts";
import { readState } from "./read-state.ts";

const MS = 1e6;
/** Longer than any queue keeps a frame: ipfrag_time 30 s, neighbour probes a few seconds. */
const HELD_AT_MOST = 200e9;

/** @param coverage also say which drop reasons were met at which stages */
export function emulatorArm(coverage = false): Arm {
  return {
    name: "emulator",
    run: async (c, luck) => runOnEmulator(c, coverage, luck),
    close: async () => {},
  };
}

export function runOnEmulator(c: NodeCase, coverage = false, luck = 1): ArmResult {
  return new Run(c, coverage, luck).result();
}

export interface WatchedResult extends ArmResult {
  /** How often the flow cache spared a packet its walk. */
  spared: number;
  /** What reached pods: host device and IP packet. What is spared its walk is not among `frames`. */
  arrivals: { device: string; packet: Uint8Array }[];
}

/** Says besides what reached pods, with the flow cache or without. */
export function runWatched(c: NodeCase, flowCache: boolean): WatchedResult {
  const run = new Run(c, false, 1);
  const { walk, k, pods, spec } = run.built;
  const arrivals: WatchedResult["arrivals"] = [];
  walk.cache.enable(flowCache);
  k.watch = {
    arrived(f) {
      const pod = [...pods.values()].find(({ ns }) => ns === k.skb.ns[f]);
      if (pod === undefined) return;
      const packet = k.skb.bytes.slice(k.skb.l3[f], k.skb.end(f));
      arrivals.push({ device: hostDevice(spec, pod.spec), packet });
    },
    dropped: () => {},
  };
  return { ...run.result(), arrivals, spared: walk.spared };
}

class Run {
  private readonly c: NodeCase;
  readonly built: EmulatedNode;
  private readonly frames: Captured[] = [];
  private readonly drops: Drops | null;
  private readonly verdicts = new Map<string, number>();
  private step = 0;
  private seen = 0;

  constructor(c: NodeCase, coverage: boolean, luck: number) {
    this.c = c;
    this.built = new EmulatedNode(c.node, luck);
    this.drops = coverage ? countDrops(this.built.k) : null;
    this.tap();
    this.built.walk.drain();
    this.seen = this.built.k.capture.count;
  }

  result(): ArmResult {
    const { walk, k } = this.built;
    for (const [i, step] of this.c.steps.entries()) {
      this.runUntil(step.at * MS);
      this.step = i;
      for (const change of step.change ?? []) {
        applyChange(this.built, change);
        this.tap();
        this.settle();
      }
      for (const send of step.send ?? []) {
        const before = this.frames.length;
        const dropsBefore = this.drops?.total ?? 0;
        this.send(send);
        this.settle();
        if (this.drops !== null) this.judge(send, before, this.drops.total > dropsBefore);
      }
    }
    walk.drain();
    const state = this.c.compareState === false ? null : readState(this.c, this.built);
    const drops = this.drops === null ? null : new Map(this.drops.byKey); // without those of the end
    this.end();
    if (k.skb.live !== 0) throw new Error(`${this.c.name}: ${k.skb.live} frames leaked`);
    const { frames, verdicts } = this;
    return drops === null ? { frames, state } : { frames, state, drops, verdicts };
  }

  private judge(send: Send, before: number, dropped: boolean): void {
    const from = "udp" in send ? "" : this.entry(send.at);
    const out = this.frames.slice(before).filter((f) => f.direction === "out");
    let verdict: Verdict = dropped ? "dropped" : "kept";
    if (out.some((f) => f.device !== from)) verdict = "passed";
    else if (out.length > 0) verdict = "answered";
    const protocol = "udp" in send ? "udp" : protocolOf(Buffer.from(send.frame, "hex"));
    const key = `${protocol} ${verdict}`;
    this.verdicts.set(key, (this.verdicts.get(key) ?? 0) + 1);
  }

  /** The node's device where a frame sent at this port comes in. */
  private entry(at: Port): string {
    const { spec, pods } = this.built;
    return at === "nic" ? nicDevice(spec) : hostDevice(spec, pods.get(at.slice(4))!.spec);
  }

  // Frames still held by neighbour and fragment queues end when their timers have run; that is not part of
  // the case.
  private end(): void {
    this.built.walk.run(this.built.k.clock.now + HELD_AT_MOST);
  }

  // Event by event, so that what the harness answers is answered at its time.
  private runUntil(time: number): void {
    const { walk, k } = this.built;
    while (k.clock.next() <= time) {
      walk.run(k.clock.next());
      this.settle();
    }
    walk.run(time);
    this.settle();
  }

  private tap(): void {
    const { k } = this.built;
    for (const [name, d] of this.built.devices()) {
      if (k.dev.tap[d] < 0) k.dev.tap[d] = k.capture.addInterface(d, name);
    }
  }

  private settle(): void {
    const { walk, k } = this.built;
    const { capture } = k;
    k.notes.clear();
    for (;;) {
      walk.drain();
      if (this.seen === capture.count) return;
      while (this.seen < capture.count) this.take(this.seen++);
    }
  }

  private take(i: number): void {
    const { capture } = this.built.k;
    const device = capture.names[capture.iface[i]];
    const start = capture.start[i];
    const bytes = capture.bytes.slice(start, start + capture.len[i]);
    const direction = capture.direction[i] === Direction.IN ? "in" : "out";
    this.frames.push({ step: this.step, device, direction, bytes });
    if (direction === "out") this.respond(device, bytes);
  }

  private respond(device: string, frame: Uint8Array): void {
    const { spec, wire, pods } = this.built;
    if (device === nicDevice(spec)) {
      const { arp, echo } = spec.fabric ?? {};
      const reply = arp === undefined ? null : arpReplyTo(frame, arp, null);
      if (reply !== null) this.transmit(wire, reply);
      const turned = echo === true ? echoOf(frame) : null;
      if (turned !== null) this.transmit(wire, turned);
      return;
    }
    const pod = spec.pods.find((p) => hostDevice(spec, p) === device);
    if (pod?.stack !== "arp") return;
    const reply = arpReplyTo(frame, pod.mac, pod.ip);
    const built = pods.get(pod.name);
    if (reply !== null && built !== undefined) this.transmit(built.eth0, reply);
  }

  // As send() on a packet socket: it returns when the frame has come to rest.
  private transmit(dev: number, frame: Uint8Array): number {
    const error = transmitFrame(this.built.k, dev, frame);
    this.built.walk.drain();
    return error;
  }

  private send(send: Send): void {
    const { wire, pods } = this.built;
    if ("udp" in send) return this.talk(send.in, send.udp);
    const dev = send.at === "nic" ? wire : pods.get(send.at.slice(4))!.eth0;
    const error = this.transmit(dev, Buffer.from(send.frame, "hex"));
    if (error !== 0) throw new Error(`${this.c.name} step ${this.step}: send at ${send.at}: ${error}`);
  }

  private talk(where: string, udp: { from: number; to: string; port: number; text: string }): void {
    const { walk, talkers, node, pods } = this.built;
    const key = `${where} ${udp.from}`;
    let sock = talkers.get(key);
    if (sock === undefined) {
      const ns = where === "node" ? node : pods.get(where.slice(4))!.ns;
      sock = udpOpen(walk.sock, ns, { kind: SocketKind.SCRIPT, port: udp.from });
      talkers.set(key, sock);
    }
    udpSend(walk.sock, sock, address(udp.to), udp.port, Buffer.from(udp.text));
  }
}

interface Drops {
  byKey: Map<string, number>;
  total: number;
}

/** The stage of a drop is the one noted last: nothing else runs in between. */
function countDrops(k: Kernel): Drops {
  const drops: Drops = { byKey: new Map(), total: 0 };
  k.observing = true;
  k.notes.stages = true;
  const dropped = (_f: number, reason: number): void => {
    const { notes } = k;
    let last = notes.count - 1;
    while (last >= 0 && notes.kind[last] !== NoteKind.STAGE) last--;
    const key = dropKey(last < 0 ? 0 : notes.a[last], reason);
    drops.byKey.set(key, (drops.byKey.get(key) ?? 0) + 1);
    drops.total++;
  };
  k.watch = { arrived: () => {}, dropped };
  return drops;
}
