// Legs: what the walk does between two stages that look at a connection, as a memo of its own. Between the
// hooks of netfilter a packet's way depends on its addresses and on what the stages noted (routes,
// neighbours, forwarding entries, devices, the fabric), not on the flow it is of: so what one packet of two
// addresses did there, the next one does, though its connection be new. The hooks are asked for each packet;
// so a first packet costs what its connections cost, and not the way.
// A leg is the difference between what left one hook and what reached the next: columns of the frame, its
// Ethernet header, how often TTL went down; it stands on a path (flow-paths.ts), as an entry does.
// It begins after IP_LOCAL_OUT or a hook and ends where the next hook is asked, where a socket gets the
// packet or where a queue takes it. What ends elsewhere, makes frames of its own, looks at ports
// (Consulted.ports) or meets what no flow may be spared (Consulted.giveUp) is no leg.
// Megaflows of Open vSwitch leave out of their match what no table looked at; here it is the ports.

import { growI32 } from "../core/columns.ts";
import { HashIndex, hash4 } from "../core/hash-index.ts";
import type { Ip } from "../ip/ip.ts";
import { noteOutput } from "../ip/output.ts";
import { NOTE_WORDS, NOTES_MAX, Noted, RECORDS_MAX } from "../node/consulted.ts";
import type { Kernel } from "../node/kernel.ts";
import { DevKind } from "../node/net-device.ts";
import { Stage } from "../node/stage.ts";
import { CROSSINGS_MAX, isReservedPort } from "../vnet/egress.ts";
import {
  IPV4_PROTOCOL,
  IPV4_SIZE,
  IPV4_TOTAL_LENGTH,
  IPV4_TTL,
  ipv4DecreaseTtl,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { UDP_DESTINATION_PORT, UDP_SOURCE_PORT } from "../wire/udp.ts";
import type { FlowCache } from "./flow-cache.ts";
import {
  readEnd,
  SIDE,
  W_DEV,
  W_DST,
  W_OUT_DEV,
  W_PHYS_IN,
  W_PHYS_OUT,
  W_SRC,
  W_STAGE,
  writeEnd,
} from "./leg-end.ts";
import { asks, BEGINS, FROM_HERE, LEG_STAGES, MAY_END } from "./leg-stages.ts";

/** Legs known at one time; then all of them go. */
const LEGS_MAX = 16_384;
/** Hashes of what was met once: a leg is worth remembering when it is met again. */
const MET_MASK = 0xffff;

// Words of a leg: its two ends, then what follows.
const L_OUT = SIDE;
const L_PATH = SIDE * 2;
const L_GENERATION = L_PATH + 1;
/** What the TTL loses; longest IP packet that is known to pass; times it crosses the fabric. */
const L_TTL = L_PATH + 2;
const L_LENGTH = L_PATH + 3;
const L_CROSSINGS = L_PATH + 4;
/** Bits: the driver forgets the connection on the way; a veth passes it on by way of softnet. */
const L_HOW = L_PATH + 5;
/** Notes of its path that it has from before it began. */
const L_CARRIED = L_PATH + 6;
/** The leg that came after it last. */
const L_NEXT = L_PATH + 7;
const LEG = L_PATH + 8;
const SCRUBS = 1;
const WAITS = 2;
/** Stages look at devices that only later ones note. */
const DEVICES = [W_DEV, W_OUT_DEV, W_PHYS_IN, W_PHYS_OUT];

/** Behind the notes of all records. */
const SCRATCH = RECORDS_MAX * NOTES_MAX * NOTE_WORDS;

/**
 * Notes of what later stages look at as well without noting it again: of a device its MTU, of a route what
 * ICMP taught about it.
 */
const IS_CARRIED = new Uint8Array(64);
IS_CARRIED[Noted.DEVICE] = IS_CARRIED[Noted.NAMESPACE] = IS_CARRIED[Noted.ROUTE] = 1;
IS_CARRIED[Noted.EXCEPTION] = 1;

export class FlowLegs {
  /** Frame whose leg is being recorded, -1 for none. */
  private pending = -1;
  /** How often a frame was spared the way between two hooks. */
  taken = 0;
  private readonly k: Kernel;
  private readonly ip: Ip;
  private readonly cache: FlowCache;
  private words = new Int32Array(LEG * 64);
  private count = 0;
  private readonly index = new HashIndex(64);
  private readonly met = new Int32Array(MET_MASK + 1);
  private readonly side = new Int32Array(SIDE);
  // The frame under record: its slot, whether that is for the leg alone, where its notes began.
  private readonly start = new Int32Array(SIDE);
  private slot = -1;
  private isOwn = false;
  private firstNote = 0;
  private startTtl = 0;
  private startCt = -1;
  private startCrossings = 0;
  private startL3 = 0;
  private startNs = 0;
  private gathered = 0;
  // The frame whose leg has just ended, and the path that was.
  private last = -1;
  private lastLeg = -1;
  private lastPath = -1;
  private lastGeneration = 0;

  constructor(k: Kernel, ip: Ip, cache: FlowCache) {
    this.k = k;
    this.ip = ip;
    this.cache = cache;
  }

  /**
   * The frame comes from `was` to a stage that has a bit in LEG_STAGES: where it goes on.
   * @param alone nothing else but what waits in softnet is under way
   */
  next(f: number, was: Stage, stage: Stage, alone: boolean): Stage {
    const bits = LEG_STAGES[stage];
    if (this.pending === f) {
      if (bits & MAY_END && asks(this.k, f, stage)) this.end(f, stage);
      return stage;
    }
    const may = (bits & BEGINS) !== 0 && (LEG_STAGES[was] & FROM_HERE) !== 0;
    return may && !asks(this.k, f, stage) ? this.jump(f, stage, alone) : stage;
  }

  /** The frame begins its way at this stage, or a part of it that no leg knows. */
  enter(f: number, stage: Stage): void {
    // What passes a veth goes on with its leg.
    const goesOn = stage === Stage.NETIF_RECEIVE;
    if (this.pending >= 0 && (this.pending !== f || !goesOn)) this.abandon();
    if (this.last === f && !goesOn) this.last = -1;
  }

  // ---- internals ----

  /** Takes the frame to where its leg ends, if that is known: the stage there, otherwise `stage`. */
  private jump(f: number, stage: Stage, alone: boolean): Stage {
    const { side, words } = this;
    const { skb, clock, softnet } = this.k;
    const stood = this.last === f && this.cache.paths.generation[this.lastPath] === this.lastGeneration;
    const before = stood ? this.lastPath : -1;
    this.last = -1;
    if (!readEnd(this.k, f, stage, side)) return stage;
    // Mostly it is the one that came after this one before.
    const guess = before < 0 ? -1 : words[this.lastLeg * LEG + L_NEXT];
    const l = guess >= 0 && this.equals(guess * LEG, side) ? guess : this.look(f, stage, before);
    if (l < 0) return stage;
    if (before >= 0) words[this.lastLeg * LEG + L_NEXT] = l;
    const w = l * LEG;
    const { paths } = this.cache;
    const p = words[w + L_PATH];
    const { now } = clock;
    const v = skb.view;
    const o = skb.l3[f];
    const length = v.getUint16(o + IPV4_TOTAL_LENGTH);
    const stands = paths.generation[p] === words[w + L_GENERATION] && length <= words[w + L_LENGTH];
    if (!stands || (now >= paths.validUntil[p] && !paths.renew(p))) {
      this.begin(f, stage, before);
      return stage;
    }
    const how = words[w + L_HOW];
    if (v.getUint8(o + IPV4_TTL) <= words[w + L_TTL] || (how & WAITS && !(alone && softnet.size === 0)))
      return stage;
    const crossings = words[w + L_CROSSINGS];
    if (crossings > 0) {
      if (skb.crossings[f] + crossings > CROSSINGS_MAX || asksForPorts(v, o)) return stage;
      skb.crossings[f] += crossings;
    }
    if (how & SCRUBS) this.k.scrub(f);
    for (let n = words[w + L_TTL]; n > 0; n--) ipv4DecreaseTtl(v, o);
    paths.count(p, length, now);
    if (this.k.consulted.slot[f] >= 0) this.note(f, p, words[w + L_CARRIED]);
    this.follow(f, l, p);
    this.taken++;
    return writeEnd(this.k, f, words, w + L_OUT, length);
  }

  /** The frame under record has come to where its leg ends: `stage` has not been asked yet. */
  private end(f: number, stage: Stage): void {
    const { consulted } = this.k;
    const { slot } = this;
    this.pending = -1;
    if (consulted.slot[f] !== slot) return;
    this.remember(f, stage);
    if (this.isOwn) consulted.giveUp(f);
  }

  /** Something else goes on before the leg has ended. */
  private abandon(): void {
    const { consulted } = this.k;
    if (this.isOwn && consulted.slot[this.pending] === this.slot) consulted.giveUp(this.pending);
    this.pending = -1;
  }

  /** The leg that begins with `side`; -1 for a new one, which is recorded when it is met again. */
  private look(f: number, stage: Stage, before: number): number {
    const { side, met } = this;
    const hash = hashOf(side);
    const l = this.find(side, hash);
    if (l >= 0) return l;
    if (met[hash & MET_MASK] === hash) this.begin(f, stage, before);
    else met[hash & MET_MASK] = hash;
    return -1;
  }

  /** The leg that begins with these words, or -1. */
  private find(side: Int32Array, hash: number): number {
    const { slots, hashes, mask } = this.index;
    for (let s = hash & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === hash && this.equals((r - 1) * LEG, side)) return r - 1;
    }
    return -1;
  }

  private equals(w: number, side: Int32Array): boolean {
    const { words } = this;
    for (let i = 0; i < SIDE; i++) if (words[w + i] !== side[i]) return false;
    return true;
  }

  /** @param before path of the leg that ended where this one's hook was, -1 when it walked */
  private begin(f: number, stage: Stage, before: number): void {
    const { consulted, skb } = this.k;
    const isLocal = stage === Stage.HOOK_LOCAL_OUT || stage === Stage.IP_ROUTE_ME_HARDER;
    this.isOwn = consulted.slot[f] < 0;
    if (this.isOwn && before < 0 && !isLocal) return;
    if (this.isOwn) consulted.beginPart(f);
    this.slot = consulted.slot[f];
    if (this.slot < 0) return;
    this.pending = f;
    this.start.set(this.side);
    if (this.isOwn && before >= 0) this.carry(f, before);
    else if (this.isOwn) noteOutput(this.ip, f, skb.ns[f]);
    this.firstNote = consulted.count[this.slot];
    this.startNs = skb.ns[f];
    consulted.byPorts[this.slot] = 0;
    this.startTtl = skb.view.getUint8(skb.l3[f] + IPV4_TTL);
    this.startCt = skb.ct[f];
    this.startCrossings = skb.crossings[f];
    this.startL3 = skb.l3[f];
  }

  /** Notes for a frame under record what is noted on this path, but for the first `from`. */
  private note(f: number, p: number, from: number): void {
    const { consulted } = this.k;
    const { notes, noteCount } = this.cache.paths;
    for (let i = from, o = (p * NOTES_MAX + from) * NOTE_WORDS; i < noteCount[p]; i++, o += NOTE_WORDS) {
      consulted.note(f, notes[o], notes[o + 1], notes[o + 2]);
    }
  }

  /** Notes for a frame under record what a leg after this path stands on. */
  private carry(f: number, p: number): void {
    const { consulted } = this.k;
    const { notes, noteCount } = this.cache.paths;
    for (let i = 0, o = p * NOTES_MAX * NOTE_WORDS; i < noteCount[p]; i++, o += NOTE_WORDS) {
      if (IS_CARRIED[notes[o]] === 1) consulted.note(f, notes[o], notes[o + 1], notes[o + 2]);
    }
  }

  /** The next leg of the frame stands on what this one did. */
  private follow(f: number, l: number, p: number): void {
    this.last = f;
    this.lastLeg = l;
    this.lastPath = p;
    this.lastGeneration = this.cache.paths.generation[p];
  }

  private remember(f: number, stage: Stage): void {
    const { consulted, skb, dev } = this.k;
    const { side, start } = this;
    if (consulted.byPorts[this.slot] !== 0 || skb.l3[f] !== this.startL3) return;
    if (!readEnd(this.k, f, stage, side)) return;
    if (side[W_SRC] !== start[W_SRC] || side[W_DST] !== start[W_DST]) return;
    // Only a driver takes a connection away.
    const scrubs = skb.ct[f] !== this.startCt;
    if (scrubs && skb.ct[f] >= 0) return;
    const carried = this.gather();
    const { paths } = this.cache;
    if (this.gathered > NOTES_MAX) return;
    const p = paths.of(SCRATCH, this.gathered);
    if (p < 0) return;
    let how = scrubs ? SCRUBS : 0;
    for (let i = carried, n = SCRATCH + carried * NOTE_WORDS; i < this.gathered; i++, n += NOTE_WORDS) {
      if (consulted.notes[n] !== Noted.TX) continue;
      const kind = dev.kind[consulted.notes[n + 1]];
      if (kind === DevKind.VETH || kind === DevKind.LOOPBACK) how |= WAITS;
    }
    const l = this.rowFor();
    const { words } = this;
    const w = l * LEG;
    words.set(start, w);
    words.set(side, w + L_OUT);
    words[w + L_PATH] = p;
    words[w + L_GENERATION] = paths.generation[p];
    words[w + L_TTL] = this.startTtl - skb.view.getUint8(skb.l3[f] + IPV4_TTL);
    words[w + L_LENGTH] = skb.view.getUint16(skb.l3[f] + IPV4_TOTAL_LENGTH);
    words[w + L_CROSSINGS] = skb.crossings[f] - this.startCrossings;
    words[w + L_HOW] = how;
    words[w + L_CARRIED] = carried;
    words[w + L_NEXT] = -1;
    this.follow(f, l, p);
  }

  /**
   * Puts together what the path of this leg is made of: what was consulted in this namespace before it began,
   * the devices at both ends, its own notes. How many there are but for the last.
   */
  private gather(): number {
    const { notes, count } = this.k.consulted;
    const { start, side } = this;
    const base = this.slot * NOTES_MAX * NOTE_WORDS;
    const end = base + this.firstNote * NOTE_WORDS;
    this.gathered = 0;
    for (let o = this.firstHere(base, end); o < end; o += NOTE_WORDS) {
      if (IS_CARRIED[notes[o]] === 1) this.put(notes[o], notes[o + 1], notes[o + 2]);
    }
    for (let i = 0; i < DEVICES.length; i++) {
      if (start[DEVICES[i]] >= 0) this.put(Noted.DEVICE, start[DEVICES[i]], 0);
      if (side[DEVICES[i]] >= 0) this.put(Noted.DEVICE, side[DEVICES[i]], 0);
    }
    const carried = this.gathered;
    const to = SCRATCH + carried * NOTE_WORDS;
    const own = count[this.slot] - this.firstNote;
    notes.copyWithin(to, end, end + own * NOTE_WORDS);
    this.gathered += own;
    return carried;
  }

  private put(kind: number, a: number, b: number): void {
    const { notes } = this.k.consulted;
    const end = SCRATCH + this.gathered * NOTE_WORDS;
    for (let o = SCRATCH; o < end; o += NOTE_WORDS) {
      if (notes[o] === kind && notes[o + 1] === a && notes[o + 2] === b) return;
    }
    notes[end] = kind;
    notes[end + 1] = a;
    notes[end + 2] = b;
    this.gathered++;
  }

  /** The first note of the present namespace: of the device that received the frame, if one did. */
  private firstHere(base: number, end: number): number {
    const { notes } = this.k.consulted;
    let first = end;
    for (let o = end - NOTE_WORDS; o >= base; o -= NOTE_WORDS) {
      if (notes[o] !== Noted.NAMESPACE) continue;
      if (notes[o + 1] !== this.startNs) break;
      first = o;
    }
    return first > base ? first - NOTE_WORDS : first;
  }

  /** The row of the leg that begins as the frame under record did. */
  private rowFor(): number {
    const { start } = this;
    const hash = hashOf(start);
    const known = this.find(start, hash);
    if (known >= 0) return known;
    if (this.count === LEGS_MAX) this.clear();
    const l = this.count++;
    if (l * LEG >= this.words.length) this.words = growI32(this.words, l * LEG * 2);
    this.index.insert(hash, l);
    return l;
  }

  /** What legs stand on goes with them: other paths of the same notes are made anew. */
  private clear(): void {
    const { paths } = this.cache;
    for (let l = 0, w = 0; l < this.count; l++, w += LEG) {
      const p = this.words[w + L_PATH];
      if (paths.generation[p] === this.words[w + L_GENERATION]) paths.evict(p);
    }
    this.index.clear();
    this.count = 0;
    this.last = -1;
  }
}

const hashOf = (side: Int32Array): number => hash4(side[W_STAGE], side[W_DEV], side[W_SRC], side[W_DST]);

/** A rule of the fabric that names ports may concern it. */
function asksForPorts(v: DataView, o: number): boolean {
  if (v.getUint8(o + IPV4_PROTOCOL) !== PROTO_UDP) return false;
  const l4 = o + IPV4_SIZE;
  return (
    isReservedPort(v.getUint16(l4 + UDP_SOURCE_PORT)) ||
    isReservedPort(v.getUint16(l4 + UDP_DESTINATION_PORT))
  );
}
