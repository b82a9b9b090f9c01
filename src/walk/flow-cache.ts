// The flow cache: a memo of the walk. When a packet of a steady flow has walked from its socket to the socket
// it is for, the difference between what left and what arrived becomes one entry: match, header rewrite,
// receiver. Later packets of the flow are matched and rewritten without walking. Everything else is as if
// they had walked: counters, timeouts and forwarding entries are told when somebody reads them (flush), the
// order of arrival is kept by passing the same number of veth queues, and whatever the walk consulted evicts
// what was derived from it when it changes (node/consulted.ts). A change after which the packets of a path
// still go one way together, and as they are, costs the walk of one of them (flow-paths.ts).
// Azure's VFP (unified flow tables), OVS megaflows and nf_flow_table do the same with their own paths.
// Cached: IPv4 UDP, ICMP echo and segments of established TCP without IP options, from where a frame leaves
// its socket or comes out of what held it (flow-start.ts) to a socket or to what holds it next: a link with a
// delay or rate, a VNet with a delay. Those walk themselves, and each part of such a way is an entry.
// Absent, so these walk: fragments, what is injected at an interface, and everything while a tap, a recording
// or explain is on.

import { growI32, growLinesF64, Ids } from "../core/columns.ts";
import { HashIndex, hash4 } from "../core/hash-index.ts";
import type { Ip } from "../ip/ip.ts";
import type { Link } from "../link/link.ts";
import type { ConntrackTable } from "../netfilter/conntrack-table.ts";
import { SECOND } from "../netfilter/enums.ts";
import type { Netfilter } from "../netfilter/netfilter.ts";
import { A_BYTES, A_PACKETS, A_TIMEOUT, ACCT } from "../netfilter/nf-conn.ts";
import {
  CONNECTIONS_MAX,
  FLOW_RECORDS_MAX,
  NOTE_WORDS,
  NOTES_MAX,
  Noted,
  RECORDS_MAX,
} from "../node/consulted.ts";
import type { Kernel } from "../node/kernel.ts";
import { DevKind } from "../node/net-device.ts";
import { Stage } from "../node/stage.ts";
import type { Fabric } from "../vnet/fabric.ts";
import { ETHERNET_SIZE } from "../wire/ethernet.ts";
import { IPV4_DST, IPV4_SIZE, IPV4_SRC, IPV4_TTL, PROTO_TCP } from "../wire/ipv4.ts";
import {
  E_DEV,
  E_DST,
  E_FLAGS,
  E_GENERATION,
  E_HASH,
  E_LENGTH,
  E_NEW_DST,
  E_NEW_PORTS,
  E_NEW_SRC,
  E_PATH,
  E_PORTS,
  E_SEGMENT,
  E_SENDER,
  E_SRC,
  E_STAGE,
  E_TTL,
  ENTRY,
  F_BYTES,
  F_IDLE,
  F_LAST,
  F_PACKETS,
  FLAG_BITS,
  FLOW,
  HOP,
} from "./flow-entry.ts";
import { type Entries, FlowLinks } from "./flow-links.ts";
import { FlowPaths } from "./flow-paths.ts";
import { rewrite } from "./flow-rewrite.ts";
import { FlowSegments } from "./flow-segment.ts";
import { flowKey, isLocalKey, portsOf, scrubs } from "./flow-start.ts";
import { areSteady } from "./flow-steady.ts";
import { FlowTracker } from "./flow-tracker.ts";

/** Entries looked at for every new one: those whose path is gone give up their place. */
const SWEEP = 2;
const FORMER_MASK = 0xffff;

// Words of a frame under record.
const START = 9;
const S_KEY = 0;
const S_SRC = 1;
const S_DST = 2;
const S_PORTS = 3;
const S_TTL = 4;
const S_LENGTH = 5;
/** MAC addresses (flow-segment.ts). */
const S_MACS = 6;

export class FlowCache implements Entries {
  readonly paths: FlowPaths;
  private readonly k: Kernel;
  private readonly tracker: FlowTracker;
  private readonly segments: FlowSegments;
  private readonly t: ConntrackTable;
  private readonly vnet: Fabric;
  words = new Int32Array(ENTRY * 64);
  flows = new Float64Array(FLOW * 64);
  /** Connections of each entry, entry * 2 + direction of the connection, and their timeouts, s. */
  private readonly connections: FlowLinks;
  private timeouts = new Int32Array(CONNECTIONS_MAX * 64);
  /** Flow records of each entry, row * 2 + 1 on the way out of the NIC. */
  private readonly flowRecords: FlowLinks;
  private capacity = 64;
  private readonly ids = new Ids();
  readonly index = new HashIndex(64);
  private hand = 0;
  /** Of an entry that goes: the flow of a traffic source that used it. */
  unlearn: (flow: number) => void = () => {};
  /**
   * Hashes of entries that went, each where its low bits say: their flows are remembered from their first
   * packet.
   */
  private readonly former = new Int32Array(FORMER_MASK + 1);

  // Of each frame under record: what it was when it left.
  private readonly start = new Int32Array(RECORDS_MAX * START);

  constructor(k: Kernel, link: Link, ip: Ip, nf: Netfilter, vnet: Fabric) {
    this.k = k;
    this.tracker = new FlowTracker(k, nf);
    this.t = nf.t;
    this.segments = new FlowSegments(k, nf.t);
    this.connections = new FlowLinks(CONNECTIONS_MAX, nf.t, this, this.capacity);
    this.connections.allocate();
    this.flowRecords = new FlowLinks(FLOW_RECORDS_MAX, vnet.flows, this, this.capacity);
    this.vnet = vnet;
    this.paths = new FlowPaths(k, link, ip, vnet);
    k.consulted.flush = () => this.flush();
  }

  /** Turns it on or off; what it remembers goes, what it counted is told. */
  enable(on: boolean): void {
    this.clear();
    this.k.consulted.enabled = on;
    this.t.memo = on ? this.connections : null;
    this.vnet.flows.memo = on ? this.flowRecords : null;
  }

  /** Flows known now. */
  get size(): number {
    return this.ids.live;
  }

  /** Tells every counter and timeout what passed: to be called before somebody reads them. */
  flush(): void {
    this.paths.flushAll();
    for (let i = 0; i < this.ids.used; i++) if (this.isLive(i)) this.tell(i);
  }

  clear(): void {
    for (let i = 0; i < this.ids.used; i++) if (this.isLive(i)) this.forget(i);
    this.paths.evictAll();
  }

  // ---- data plane ----

  /**
   * A packet at the stage `at`: rewritten as it arrives where its way ends. The stage there, plus HOP for
   * every veth it would wait in; 0 when it has to walk.
   * @param first no frame that walks is ahead of it at this instant: it could change what this one meets
   */
  forward(f: number, at: Stage, first: boolean): number {
    const { skb, clock } = this.k;
    if (this.k.observing) return 0;
    const key = flowKey(this.k, this.vnet, f, at);
    if (key === 0) return 0;
    const v = skb.view;
    const o = skb.l3[f];
    const ports = portsOf(v, o);
    const src = v.getInt32(o + IPV4_SRC);
    const dst = v.getInt32(o + IPV4_DST);
    const hash = hash4(key, src, dst, ports);
    const i = this.find(key, src, dst, ports, hash);
    const onWire = at !== Stage.IP_LOCAL_OUT;
    if (i < 0) return this.record(f, key, src, dst, ports, hash, onWire);
    if (!first) return 0;
    const { words, flows } = this;
    const w = i * ENTRY;
    const segment = words[w + E_SEGMENT];
    const now = clock.now;
    const isCurrent = this.isCurrent(i, now);
    if (!isCurrent || (onWire && !this.segments.matches(segment, f))) {
      // Of a suspended path one flow shows the others where they go: what it was is needed then.
      if (!isCurrent && this.paths.isSuspended(words[w + E_PATH])) this.tell(i);
      else this.forget(i);
      return this.record(f, key, src, dst, ports, hash, onWire);
    }
    const ttl = v.getUint8(o + IPV4_TTL);
    const length = skb.off[f] + skb.len[f] - o;
    if (ttl <= words[w + E_TTL] || (segment >= 0 && !this.segments.mayCross(segment, f))) return 0;
    if (length > words[w + E_LENGTH]) {
      // A longer packet that gets through is remembered in place of the shorter one.
      this.forget(i);
      return this.record(f, key, src, dst, ports, hash, onWire);
    }
    if (onWire) skb.pull(f, ETHERNET_SIZE);
    const tcp = (key & 0xff) === PROTO_TCP;
    if (
      tcp &&
      !this.tracker.track(f, this.connections.rows, i * CONNECTIONS_MAX, o + IPV4_SIZE, o + length)
    ) {
      if (onWire) skb.push(f, ETHERNET_SIZE);
      return 0;
    }
    const n = i * FLOW;
    flows[n + F_LAST] = now;
    flows[n + F_PACKETS]++;
    flows[n + F_BYTES] += length;
    this.paths.count(words[w + E_PATH], length, now);
    // As the driver or the fabric does first.
    if (onWire) this.k.scrub(f);
    rewrite(this.k, this.segments, words, w, f, ttl, onWire);
    return words[w + E_STAGE];
  }

  /** IP_LOCAL_DELIVER_FINISH of a frame under record: the walk is known to its end. */
  finish(f: number, stage: number): void {
    const known = stage === Stage.UDP_RCV || stage === Stage.ICMP_RCV || stage === Stage.TCP_RCV;
    if (known) this.remember(f, stage, false);
    this.k.consulted.giveUp(f);
  }

  /**
   * What holds frames takes one under record: its device (DEV_QUEUE_XMIT, before it does) or the fabric
   * (VNET_ROUTE, which leaves bytes and columns as they were).
   */
  leave(f: number, stage: number): void {
    const { consulted, skb } = this.k;
    if (consulted.slot[f] < 0) return;
    const d = skb.dev[f];
    consulted.note(f, Noted.DEVICE, d, 0);
    if (scrubs(this.k, d)) this.remember(f, stage, true);
    consulted.giveUp(f);
  }

  private remember(f: number, stage: number, onWire: boolean): void {
    const { consulted, skb, dev } = this.k;
    const slot = consulted.slot[f];
    if (slot < 0 || consulted.isPart(slot)) return;
    const s = slot * START;
    const { start } = this;
    const v = skb.view;
    const o = skb.l3[f];
    const begin = skb.off[f] + (onWire ? ETHERNET_SIZE : 0);
    if (begin !== o || skb.off[f] + skb.len[f] - o !== start[s + S_LENGTH]) return;
    // A mark opens what may be shut for the next packet, which has none.
    if (skb.mark[f] !== 0 || !areSteady(this.t, consulted, slot)) return;
    for (let c = 0; c < consulted.connectionCount[slot]; c++) {
      this.t.consult(f, consulted.connections[slot * CONNECTIONS_MAX + c] >> 1);
    }
    if (consulted.slot[f] < 0) return;
    const from = slot * NOTES_MAX * NOTE_WORDS;
    const count = consulted.count[slot];
    const p = this.paths.of(from, count);
    if (p < 0) return;
    let veths = 0;
    let crossings = 0;
    for (let i = 0, at = from; i < count; i++, at += NOTE_WORDS) {
      if (consulted.notes[at] === Noted.NIC_SENT) crossings++;
      if (consulted.notes[at] !== Noted.TX) continue;
      const kind = dev.kind[consulted.notes[at + 1]];
      if (kind === DevKind.VETH || kind === DevKind.LOOPBACK) veths++;
    }
    this.sweep();
    const hash = hash4(start[s], start[s + S_SRC], start[s + S_DST], start[s + S_PORTS]);
    const old = this.find(start[s], start[s + S_SRC], start[s + S_DST], start[s + S_PORTS], hash);
    const i = this.add(s, slot, p, hash);
    const w = i * ENTRY;
    const { words } = this;
    words[w + E_NEW_SRC] = v.getInt32(o + IPV4_SRC);
    words[w + E_NEW_DST] = v.getInt32(o + IPV4_DST);
    words[w + E_NEW_PORTS] = portsOf(v, o);
    words[w + E_TTL] = start[s + S_TTL] - v.getUint8(o + IPV4_TTL);
    words[w + E_DEV] = skb.dev[f];
    words[w + E_STAGE] = stage + veths * HOP;
    words[w + E_FLAGS] = skb.flags[f] | (skb.rtType[f] << FLAG_BITS);
    const plain = !onWire && skb.ct[f] < 0 && isLocalKey(start[s + S_KEY]);
    words[w + E_SEGMENT] = plain ? -1 : this.segments.add(f, start, s + S_MACS, onWire, crossings);
    if (old >= 0) this.replace(old, i);
  }

  /** The entry of a flow gives way to a new one; when only its path is another, others may follow. */
  private replace(old: number, i: number): void {
    const { paths, words } = this;
    const w = i * ENTRY;
    const p = words[old * ENTRY + E_PATH];
    if (paths.generation[p] === words[old * ENTRY + E_GENERATION] && paths.isSuspended(p)) {
      if (this.isAlike(old, i)) paths.inherit(p, words[w + E_PATH], words, w);
    }
    this.forget(old);
  }

  /** Both do the same to packets and to what the flow has of its own. */
  private isAlike(i: number, j: number): boolean {
    const { words } = this;
    for (let x = E_NEW_SRC; x <= E_FLAGS; x++) {
      if (x !== E_LENGTH && words[i * ENTRY + x] !== words[j * ENTRY + x]) return false;
    }
    if (!this.connections.equal(i, j) || !this.flowRecords.equal(i, j)) return false;
    for (let c = 0; c < CONNECTIONS_MAX && this.connections.rows[i * CONNECTIONS_MAX + c] >= 0; c++) {
      if (this.timeouts[i * CONNECTIONS_MAX + c] !== this.timeouts[j * CONNECTIONS_MAX + c]) return false;
    }
    return this.segments.equal(words[i * ENTRY + E_SEGMENT], words[j * ENTRY + E_SEGMENT]);
  }

  /** The entry of a flow, or -1. */
  find(key: number, src: number, dst: number, ports: number, hash: number): number {
    const { slots, hashes, mask } = this.index;
    const { words } = this;
    for (let s = hash & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] !== hash) continue;
      const w = (r - 1) * ENTRY;
      if (words[w + E_SRC] !== src || words[w + E_DST] !== dst) continue;
      if (words[w + E_PORTS] === ports && words[w] === key) return r - 1;
    }
    return -1;
  }

  /** Its path stands, its connections have not expired, and the bridges still know the way. */
  isCurrent(i: number, now: number): boolean {
    const { words, flows, paths } = this;
    const w = i * ENTRY;
    const p = words[w + E_PATH];
    if (paths.generation[p] !== words[w + E_GENERATION]) return false;
    if (now - flows[i * FLOW] >= flows[i * FLOW + F_IDLE]) return false;
    return now < paths.validUntil[p] || paths.renew(p) || this.follow(i, p);
  }

  /** Its path is suspended, and another flow has shown where it goes now. */
  private follow(i: number, p: number): boolean {
    const { words, paths } = this;
    const heir = paths.isSuspended(p) ? paths.heirOf(p, words, i * ENTRY) : -1;
    if (heir < 0) return false;
    words[i * ENTRY + E_PATH] = heir;
    words[i * ENTRY + E_GENERATION] = paths.generation[heir];
    return true;
  }

  /** Answers 0: the frame walks. */
  private record(
    f: number,
    key: number,
    src: number,
    dst: number,
    ports: number,
    hash: number,
    onWire: boolean,
  ): number {
    const { consulted, skb } = this.k;
    const slot = consulted.begin(f, this.former[hash & FORMER_MASK] === hash);
    if (slot < 0) return 0;
    const s = slot * START;
    const { start } = this;
    start[s + S_KEY] = key;
    start[s + S_SRC] = src;
    start[s + S_DST] = dst;
    start[s + S_PORTS] = ports;
    start[s + S_TTL] = skb.view.getUint8(skb.l3[f] + IPV4_TTL);
    start[s + S_LENGTH] = skb.off[f] + skb.len[f] - skb.l3[f];
    if (onWire) this.segments.macs(f, start, s + S_MACS);
    return 0;
  }

  private add(s: number, slot: number, p: number, hash: number): number {
    const { consulted } = this.k;
    const i = this.ids.take();
    if (i >= this.capacity) this.grow(this.capacity * 2);
    const { start, words, flows } = this;
    const w = i * ENTRY;
    for (let x = 0; x < 4; x++) words[w + x] = start[s + x];
    words[w + E_HASH] = hash;
    words[w + E_PATH] = p;
    words[w + E_GENERATION] = this.paths.generation[p];
    words[w + E_LENGTH] = start[s + S_LENGTH];
    words[w + E_SENDER] = -1;
    const n = i * FLOW;
    flows[n + F_LAST] = this.k.clock.now;
    flows[n + F_PACKETS] = flows[n + F_BYTES] = 0;
    flows[n + F_IDLE] = Number.MAX_VALUE;
    const from = slot * CONNECTIONS_MAX;
    const count = consulted.connectionCount[slot];
    this.connections.add(i, consulted.connections, from, count);
    for (let c = 0; c < count; c++) {
      const timeout = consulted.seconds[from + c] * SECOND;
      this.timeouts[i * CONNECTIONS_MAX + c] = consulted.seconds[from + c];
      // Of TCP the tracker says, segment by segment.
      if (timeout > 0 && timeout < flows[n + F_IDLE]) flows[n + F_IDLE] = timeout;
    }
    this.addFlowRecords(i, slot);
    this.index.insert(hash, i);
    return i;
  }

  private addFlowRecords(i: number, slot: number): void {
    const { consulted } = this.k;
    const { flows, nics, vnets } = this.vnet;
    const n = i * FLOW + F_IDLE;
    const from = slot * FLOW_RECORDS_MAX;
    const count = consulted.flowRecordCount[slot];
    this.flowRecords.add(i, consulted.flowRecords, from, count);
    for (let c = 0; c < count; c++) {
      const record = consulted.flowRecords[from + c] >> 1;
      const timeout = vnets.flowTimeout[nics.vnet[flows.nic[record]]];
      if (timeout < this.flows[n]) this.flows[n] = timeout;
    }
  }

  /**
   * One step of a collector: entries whose path is gone, or that nobody used for as long as they may live.
   */
  private sweep(): void {
    for (let step = 0; step < SWEEP && this.ids.used > 0; step++) {
      if (this.hand >= this.ids.used) this.hand = 0;
      const i = this.hand++;
      if (!this.isLive(i)) continue;
      const w = i * ENTRY;
      const gone = this.paths.generation[this.words[w + E_PATH]] !== this.words[w + E_GENERATION];
      if (gone || this.k.clock.now - this.flows[i * FLOW] >= this.flows[i * FLOW + F_IDLE]) this.forget(i);
    }
  }

  private isLive(i: number): boolean {
    return this.words[i * ENTRY + E_PATH] >= 0;
  }

  /** Gives the connections of an entry what they would have had from each packet (accounting.ts refresh). */
  tell(i: number): void {
    const { flows, t } = this;
    const n = i * FLOW;
    const packets = flows[n + F_PACKETS];
    if (packets === 0) return;
    const bytes = flows[n + F_BYTES];
    flows[n + F_PACKETS] = flows[n + F_BYTES] = 0;
    this.tellFlowRecords(i, packets);
    // The tracker counted each segment.
    if ((this.words[i * ENTRY] & 0xff) === PROTO_TCP) return;
    for (let c = 0; c < CONNECTIONS_MAX; c++) {
      const row = this.connections.rows[i * CONNECTIONS_MAX + c];
      if (row < 0) continue;
      const a = (row >> 1) * ACCT;
      const until = flows[n + F_LAST] + this.timeouts[i * CONNECTIONS_MAX + c] * SECOND;
      if (until > t.acct[a + A_TIMEOUT]) t.acct[a + A_TIMEOUT] = until;
      t.acct[a + A_PACKETS + (row & 1) * 2] += packets;
      t.acct[a + A_BYTES + (row & 1) * 2] += bytes;
    }
  }

  private tellFlowRecords(i: number, packets: number): void {
    const { flows, nics, vnets } = this.vnet;
    if (this.flowRecords.rows.length === 0) return;
    for (let c = 0; c < FLOW_RECORDS_MAX; c++) {
      const row = this.flowRecords.rows[i * FLOW_RECORDS_MAX + c] >> 1;
      if (row < 0) continue;
      flows.passed(row, packets, this.flows[i * FLOW + F_LAST], vnets.flowTimeout[nics.vnet[flows.nic[row]]]);
    }
  }

  /** Reads what forget() will need (ConntrackTable.lookAhead). */
  peek(i: number): number {
    const hash = this.words[i * ENTRY + E_HASH];
    const s = hash & this.index.mask;
    return this.flows[i * FLOW + F_PACKETS] ^ this.index.slots[s] ^ this.index.hashes[s];
  }

  /** The entry is no longer so. */
  forget(i: number): void {
    this.tell(i);
    const w = i * ENTRY;
    this.connections.remove(i);
    this.flowRecords.remove(i);
    if (this.words[w + E_SEGMENT] >= 0) this.segments.remove(this.words[w + E_SEGMENT]);
    if (this.words[w + E_SENDER] >= 0) this.unlearn(this.words[w + E_SENDER]);
    const hash = this.words[w + E_HASH];
    this.former[hash & FORMER_MASK] = hash;
    this.index.remove(hash, i);
    this.words[w + E_PATH] = -1;
    this.ids.give(i);
  }

  /**
   * Makes room for so many flows at once: a table that doubles while packets pass makes them wait for the
   * copy.
   */
  reserve(entries: number): void {
    if (entries <= this.capacity) return;
    this.grow(entries);
    this.index.reserve(entries);
  }

  private grow(n: number): void {
    this.capacity = n;
    this.words = growI32(this.words, this.capacity * ENTRY);
    this.flows = growLinesF64(this.flows, this.capacity * FLOW);
    this.connections.grow(this.capacity);
    this.timeouts = growI32(this.timeouts, this.capacity * CONNECTIONS_MAX);
    this.flowRecords.grow(this.capacity);
  }
}
