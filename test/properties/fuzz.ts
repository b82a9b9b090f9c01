// One fuzzed emulation: a random topology, and thousands of random frames at random devices, between pods
// that come, go and die, links that flap and lose. Answers what went wrong, in words; nothing should.

import { Random } from "../../src/core/random.ts";
import type { Net } from "../../src/emulator/net.ts";
import type { CniMode } from "../../src/emulator/spec.ts";
import { ms, sec, us } from "../../src/emulator/units.ts";
import { injectFrame, transmitFrame } from "../../src/socket/packet.ts";
import { mend, randomFrame } from "./frames.ts";
import { Ledger } from "./ledger.ts";
import { chance, pick, randomTopology, type World, worldOf } from "./world.ts";

export interface FuzzRun {
  seed: number;
  cni: CniMode;
  frames: number;
}

export interface FuzzResult {
  /** What is wrong; empty when nothing is. */
  faults: string[];
  delivered: number;
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
  let i = 0;
  try {
    for (; i < frames; i++) {
      if (chance(r, 0.01) && disturb(r, net)) world = worldOf(net);
      sendOne(r, net, world);
      if (chance(r, 0.3)) net.run({ for: pick(r, [0, us(5), ms(1), ms(40), sec(1)]) });
    }
    net.run({ for: sec(40) });
  } catch (error) {
    faults.push(`frame ${i}: ${(error as Error).stack}`);
    return { faults, delivered: 0, reasons: new Set() };
  }
  faults.push(...ledger.faults());
  const { k } = net.walk;
  const reasons = new Set(k.drops.reason.slice(0, k.drops.rows.used));
  return { faults, delivered: k.delivered, reasons };
}

// Half of the frames are anything anywhere. The others could have come from a stack: they carry MACs and
// addresses that belong to where they are, and so get further.
function sendOne(r: Random, net: Net, world: World): void {
  const { k } = net.walk;
  const { dev } = k;
  const d = pick(r, world.rows);
  const frame = randomFrame(r, world);
  const plausible = frame.length >= 34 && chance(r, 0.6);
  const own = k.inet.firstOf(d);
  if (chance(r, 0.5)) {
    if (plausible) {
      writeMac(frame, 0, dev.macHi[d]!, dev.macLo[d]!);
      if (own >= 0 && chance(r, 0.6)) writeAddress(frame, 30, k.inet.addr[own]!);
    }
    injectFrame(k, d, frame);
    return;
  }
  if (plausible) {
    const next = nextDevice(k, d);
    writeMac(frame, 6, dev.macHi[d]!, dev.macLo[d]!);
    if (next >= 0) writeMac(frame, 0, dev.macHi[next]!, dev.macLo[next]!);
    else writeMac(frame, 0, 0x1234, 0x56789abc);
    if (own >= 0) writeAddress(frame, 26, k.inet.addr[own]!);
  }
  transmitFrame(k, d, frame);
}

/** The device that routes for whoever sends on this one; -1 when that is the fabric. */
function nextDevice(k: Net["walk"]["k"], d: number): number {
  const peer = k.dev.peer[d]!;
  if (peer < 0) return -1;
  return k.dev.master[peer]! < 0 ? peer : k.dev.master[peer]!;
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
