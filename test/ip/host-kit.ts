// One host with two links, eth0 (10.0.0.1/24) and eth1 (10.1.0.1/24); nobody answers at their far ends, so
// that a test says everything that is said there.

import type { ExecutionContext } from "ava";
import { Direction } from "../../src/node/capture.ts";
import { dropName } from "../../src/node/drop.ts";
import { Scope } from "../../src/node/in-ifaddr.ts";
import { Kernel } from "../../src/node/kernel.ts";
import type { DevSysctl, NsSysctl } from "../../src/node/sysctl.ts";
import { transmitFrame } from "../../src/socket/packet.ts";
import { Walk } from "../../src/walk/walk.ts";
import { parseIpv4, parseMac } from "../../src/wire/address.ts";
import { type ArpFrame, arpFrame, type UdpFrame, udpFrame } from "../../src/wire/build.ts";
import { printBytes } from "../../src/wire/print.ts";

export const SECOND = 1e9;
export const MS = 1e6;
export const ip = (text: string): number => parseIpv4(text) as number;
/** The MACs of eth0, eth1 and of whoever speaks at their far ends. */
export const HOST = { eth0: "02:00:00:00:00:01", eth1: "02:00:00:00:01:01" } as const;
export const PEER = { eth0: "02:00:00:00:00:99", eth1: "02:00:00:00:01:99" } as const;
export type Side = "eth0" | "eth1";

export class Host {
  readonly k = new Kernel({ seed: 7, frames: 1024, largeFrames: 8, frameBytes: 2048 });
  readonly walk = new Walk(this.k);
  readonly ns = this.k.addNamespace("host", -1);
  readonly eth0 = this.addLink("eth0", "10.0.0.1");
  readonly eth1 = this.addLink("eth1", "10.1.0.1");
  private shown = 0;

  private addLink(name: Side, address: string): number {
    const { k, walk } = this;
    const far = k.addNamespace(`far-${name}`, -1);
    const d = walk.link.addVeth(this.ns, name, far, "far");
    const { hi, lo } = parseMac(HOST[name]) as { hi: number; lo: number };
    walk.link.setMac(d, hi, lo);
    k.setUp(d, true);
    k.setUp(k.dev.peer[d], true);
    k.addAddress(d, ip(address), 24, Scope.UNIVERSE);
    k.dev.tap[d] = k.capture.addInterface(d, name);
    return d;
  }

  set(name: NsSysctl, value: number): void {
    this.k.setNsSysctl(this.ns, name, value);
  }

  setDev(side: Side, name: DevSysctl, value: number): void {
    this.k.setDevSysctl(this[side], name, value);
  }

  /** A neighbour entry set by hand, permanent unless said otherwise. */
  neighbour(side: Side, address: string, mac: string, state = 0x80): void {
    const { hi, lo } = parseMac(mac) as { hi: number; lo: number };
    this.walk.ip.neigh.set(this[side], ip(address), hi, lo, state);
  }

  /** State and MAC of an entry: "4 02:…:99", or "none". */
  nud(side: Side, address: string): number {
    const { table } = this.walk.ip.neigh;
    const n = table.find(this[side], ip(address));
    return n < 0 ? -1 : table.state[n];
  }

  /** A frame arrives; returns what left at this instant, one "device: line" per frame. */
  receive(side: Side, frame: Uint8Array): string[] {
    transmitFrame(this.k, this.k.dev.peer[this[side]], frame);
    this.walk.drain();
    return this.sent();
  }

  run(until: number): string[] {
    this.walk.run(until);
    return this.sent();
  }

  /** What left since the last call. */
  sent(): string[] {
    const { capture } = this.k;
    const found: string[] = [];
    for (; this.shown < capture.count; this.shown++) {
      const i = this.shown;
      if (capture.direction[i] !== Direction.OUT) continue;
      found.push(`${capture.names[capture.iface[i]]}: ${printBytes(this.bytes(i), { macs: true })}`);
    }
    return found;
  }

  /** When and what: "1.5 eth0: line" for everything captured going out so far. */
  timeline(): string[] {
    const { capture } = this.k;
    const found: string[] = [];
    for (let i = 0; i < capture.count; i++) {
      if (capture.direction[i] !== Direction.OUT) continue;
      found.push(
        `${capture.time[i] / SECOND} ${capture.names[capture.iface[i]]}: ${printBytes(this.bytes(i))}`,
      );
    }
    return found;
  }

  /** Bytes of capture record `i`; negative counts from the end. */
  bytes(i: number): Uint8Array {
    const { capture } = this.k;
    const at = i < 0 ? capture.count + i : i;
    return capture.bytes.slice(capture.start[at], capture.start[at] + capture.len[at]);
  }

  /** Drop reasons met on this host so far, by name, one per frame. */
  drops(): string[] {
    const { drops, dev } = this.k;
    const found: string[] = [];
    for (let r = 0; r < drops.rows.used; r++) {
      if (dev.ns[drops.dev[r]] !== this.ns) continue;
      for (let n = 0; n < drops.packets[r]; n++) found.push(dropName(drops.reason[r]));
    }
    return found.sort();
  }

  /** Lets the timers that hold frames run out; then the slab must be empty. */
  end(t: ExecutionContext): void {
    this.walk.run(this.k.clock.now + 100 * SECOND);
    t.is(this.k.skb.live, 0);
  }
}

/** A datagram that arrives at one side. */
export function datagram(side: Side, src: string, dst: string, odd: Partial<UdpFrame> = {}): Uint8Array {
  const macs = { srcMac: PEER[side], dstMac: HOST[side] };
  return udpFrame({ ...macs, src, dst, sport: 4000, dport: 9, payload: "data", ...odd });
}

/** An ARP request that arrives at one side. */
export function ask(side: Side, senderIp: string, targetIp: string, odd: Partial<ArpFrame> = {}): Uint8Array {
  return arpFrame({ senderMac: PEER[side], senderIp, targetIp, ...odd });
}
