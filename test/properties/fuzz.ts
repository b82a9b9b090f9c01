// One fuzzed emulation: a random topology, and thousands of random frames at random devices, between pods
// that come, go and die, links that flap and lose. Answers what went wrong, in words; nothing should.

import { Random } from "../../src/core/random.ts";
import type { Net } from "../../src/emulator/net.ts";
import type { CniMode } from "../../src/emulator/spec.ts";
import { ms, sec, us } from "../../src/emulator/units.ts";
import type { Kernel } from "../../src/node/kernel.ts";
import { injectFrame, transmitFrame } from "../../src/socket/packet.ts";
import { chance, pick } from "./draw.ts";
import { damage, mend, mutate, randomFrame, spokenFrame } from "./frames.ts";
import { Ledger } from "./ledger.ts";
import { nextDevice, randomTopology, type World, worldOf } from "./world.ts";

export interface FuzzRun {
  seed: number;
  cni: CniMode;
  frames: number;
}

export interface FuzzResult {
  /** What is wrong; empty when nothing is. */
  faults: string[];
  delivered: number;
  /** Frames that are not as anybody made them. */
  mutated: number;
  /** Drops by reason number. */
  reasons: Set<number>;
}

export function fuzz({ seed, cni, frames }: FuzzRun): FuzzResult {
  const r = new Random(seed, `fuzz ${cni}`);
  const net = randomTopology(r, seed, { cni }).build();
  const ledger = new Ledger(net);
  if (chance(r, 0.15)) net.tap();
  if (chance(r, 0.1)) net.recordStages();
  let world = worldOf(net);
  const faults: string[] = [];
  let mutated = 0;
  let i = 0;
  try {
    for (; i < frames; i++) {
      if (chance(r, 0.01) && disturb(r, net)) world = worldOf(net);
      if (sendOne(r, net, world)) mutated++;
      if (chance(r, 0.3)) net.run({ for: pick(r, [0, us(5), ms(1), ms(40), sec(1)]) });
    }
    net.run({ for: sec(40) });
  } catch (error) {
    faults.push(`frame ${i}: ${(error as Error).stack}`);
    return { faults, delivered: 0, mutated, reasons: new Set() };
  }
  faults.push(...ledger.faults());
  const { k } = net.walk;
  const reasons = new Set(k.drops.reason.slice(0, k.drops.rows.used));
  return { faults, delivered: k.delivered, mutated, reasons };
}

/**
 * Most frames come from a host that speaks to one that listens, and get far; others could have come from a
 * stack, in that they carry MACs and addresses that belong to where they are; the rest is anything anywhere.
 * True when the frame was changed after it was made.
 */
function sendOne(r: Random, net: Net, world: World): boolean {
  const { k } = net.walk;
  const changed = chance(r, 0.7);
  if (chance(r, 0.75)) {
    const from = pick(r, world.speakers);
    const frame = spokenFrame(r, world, from);
    transmitFrame(k, from.dev, changed ? mutate(r, frame) : frame);
    return changed;
  }
  const d = pick(r, world.rows);
  const whole = randomFrame(r, world);
  const frame = changed ? damage(r, whole) : whole;
  const plausible = frame.length >= 34 && chance(r, 0.6);
  if (chance(r, 0.5)) {
    if (plausible) addressTo(r, k, d, frame);
    injectFrame(k, d, frame);
  } else {
    if (plausible) addressFrom(k, d, frame);
    transmitFrame(k, d, frame);
  }
  return changed;
}

function addressTo(r: Random, k: Kernel, d: number, frame: Uint8Array): void {
  const own = k.inet.firstOf(d);
  writeMac(frame, 0, k.dev.macHi[d]!, k.dev.macLo[d]!);
  if (own >= 0 && chance(r, 0.6)) writeAddress(frame, 30, k.inet.addr[own]!);
}

function addressFrom(k: Kernel, d: number, frame: Uint8Array): void {
  const { dev } = k;
  const own = k.inet.firstOf(d);
  const next = nextDevice(k, d);
  writeMac(frame, 6, dev.macHi[d]!, dev.macLo[d]!);
  if (next >= 0) writeMac(frame, 0, dev.macHi[next]!, dev.macLo[next]!);
  else writeMac(frame, 0, 0x1234, 0x56789abc);
  if (own >= 0) writeAddress(frame, 26, k.inet.addr[own]!);
}

// Where a plain IPv4 frame has them; the checksums follow.
function writeAddress(frame: Uint8Array, at: number, address: number): void {
  if (frame[12] !== 8 || frame[13] !== 0) return;
  new DataView(frame.buffer).setInt32(at, address);
  mend(frame);
}

function writeMac(frame: Uint8Array, at: number, hi: number, lo: number): void {
  const v = new DataView(frame.buffer);
  v.setUint16(at, hi);
  v.setInt32(at + 2, lo);
}

/** Something happens to the cluster; true when addresses may have changed. */
function disturb(r: Random, net: Net): boolean {
  const now = net.soon;
  const pods = net.podInfos();
  const pod = pick(r, pods).name;
  switch (r.below(8)) {
    case 0:
      now.scale(pick(r, ["a", "b", "c", "d"]), r.below(5));
      break;
    case 1:
    case 2:
      now.replacePod(pod);
      break;
    case 3:
      now.failPod(pod);
      break;
    case 4:
      now.link(`${pick(r, net.hosts.hostNames())}/eth0`, chance(r, 0.7));
      return false;
    case 5:
      impair(r, net);
      return false;
    default:
      now.udp(pod, pick(r, ["a:80", "b:81", "empty:80", "other:7", "8.8.8.8:53"]), r.below(3000));
      now.ping(pod, pick(r, ["a", "other", "n0", "8.8.8.8"]), { ttl: 1 + r.below(3) });
      return false;
  }
  net.run({ for: 0 });
  return true;
}

function impair(r: Random, net: Net): void {
  const device = `${pick(r, net.hosts.hostNames())}/eth0`;
  const config = pick(r, [
    { delay: ms(3), jitter: ms(2), ordered: false },
    { rate: 1_000_000, limitPackets: 5 },
    { loss: 0.3, duplicate: 0.2 },
    { corrupt: 0.5, delay: ms(1), reorder: 0.3 },
    { cut: true },
  ]);
  const handle = net.impair(device, config);
  if (chance(r, 0.5)) handle.remove();
}
