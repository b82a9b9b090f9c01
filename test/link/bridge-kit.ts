// One bridge in one namespace, with veth ports whose far ends stand in namespaces of their own and have no
// addresses: what a test sends there is all that happens there.

import type { ExecutionContext } from "ava";
import { Direction } from "../../src/node/capture.ts";
import { dropName } from "../../src/node/drop.ts";
import { Scope } from "../../src/node/in-ifaddr.ts";
import { Kernel } from "../../src/node/kernel.ts";
import type { PortFlag } from "../../src/node/net-device.ts";
import { transmitFrame } from "../../src/socket/packet.ts";
import { Walk } from "../../src/walk/walk.ts";
import { formatMac, parseIpv4, parseMac } from "../../src/wire/address.ts";
import { type ArpFrame, arpFrame, type UdpFrame, udpFrame } from "../../src/wire/build.ts";
import { printBytes } from "../../src/wire/print.ts";

export const BROADCAST = "ff:ff:ff:ff:ff:ff";
export const ip = (text: string): number => parseIpv4(text) as number;

/** Counted MACs: mac(3) is 02:00:00:00:00:03. */
export const mac = (n: number): string => `02:00:00:00:00:${n.toString(16).padStart(2, "0")}`;

export class Lab {
  readonly k = new Kernel({ seed: 7, frames: 512, largeFrames: 8, frameBytes: 2048 });
  readonly walk = new Walk(this.k);
  readonly node = this.k.addNamespace("node", -1);
  readonly bridge = this.walk.link.bridges.add(this.node, "br0");
  private readonly far = new Map<string, number>();
  private shown = 0;

  constructor(ports: readonly string[], bridgeMac?: string) {
    if (bridgeMac !== undefined) this.setMac(this.bridge, bridgeMac);
    for (const name of ports) this.addPort(name);
    this.k.setUp(this.bridge, true);
    this.tap("br0");
  }

  /** A port p with the MAC 02:01:00:00:00:<number of ports>; its peer "far-p" carries frames in and out. */
  addPort(name: string, portMac?: string): number {
    const { k, walk } = this;
    const ns = k.addNamespace(`far-${name}`, -1);
    const d = walk.link.addVeth(this.node, name, ns, "eth0");
    this.setMac(d, portMac ?? `02:01:00:00:00:${(this.far.size + 1).toString(16).padStart(2, "0")}`);
    walk.link.bridges.addPort(this.bridge, d);
    k.setUp(d, true);
    k.setUp(k.dev.peer[d], true);
    this.far.set(name, k.dev.peer[d]);
    this.tap(name);
    return d;
  }

  device(name: string): number {
    return this.k.findDevice(this.node, name);
  }

  setMac(d: number, text: string): void {
    const { hi, lo } = parseMac(text) as { hi: number; lo: number };
    this.walk.link.setMac(d, hi, lo);
  }

  macOf(name: string): string {
    const d = this.device(name);
    return formatMac(this.k.dev.macHi[d], this.k.dev.macLo[d]);
  }

  address(text: string, length: number): void {
    this.k.addAddress(this.bridge, ip(text), length, Scope.UNIVERSE);
  }

  port(name: string, flag: keyof typeof PortFlag, on: boolean): void {
    this.walk.link.bridges.setPortFlag(this.device(name), flag, on);
  }

  /** The frame comes out of the far end of a port; returns what then left, "port: line", in order. */
  send(from: string, frame: Uint8Array): string[] {
    transmitFrame(this.k, this.far.get(from) as number, frame);
    this.walk.drain();
    return this.seen("out");
  }

  /** What the taps saw since the last call, one "device: line" per frame. */
  seen(direction: "in" | "out"): string[] {
    const { capture } = this.k;
    const found: string[] = [];
    for (; this.shown < capture.count; this.shown++) {
      const i = this.shown;
      if (capture.direction[i] !== (direction === "in" ? Direction.IN : Direction.OUT)) continue;
      const start = capture.start[i];
      const bytes = capture.bytes.slice(start, start + capture.len[i]);
      found.push(`${capture.names[capture.iface[i]]}: ${printBytes(bytes, { macs: true })}`);
    }
    return found;
  }

  /** Names of the devices something left by, in order. */
  ways(from: string, frame: Uint8Array): string[] {
    return this.send(from, frame).map((line) => line.split(":")[0]);
  }

  /** "port MAC flags" of every live entry of the database, sorted. */
  fdb(): string[] {
    const { fdb } = this.walk.link;
    const rows: string[] = [];
    for (let r = 0; r < fdb.rows.used; r++) {
      if (fdb.bridge[r] !== this.bridge || fdb.find(this.bridge, fdb.macHi[r], fdb.macLo[r]) < 0) continue;
      const kind = fdb.flags[r] === 0 ? "learned" : "permanent";
      rows.push(`${formatMac(fdb.macHi[r], fdb.macLo[r])} ${this.k.dev.name[fdb.port[r]]} ${kind}`);
    }
    return rows.sort();
  }

  /** Drop reasons so far, by name, one per frame. */
  drops(): string[] {
    const { drops } = this.k;
    const found: string[] = [];
    for (let r = 0; r < drops.rows.used; r++) {
      for (let n = 0; n < drops.packets[r]; n++) found.push(dropName(drops.reason[r]));
    }
    return found.sort();
  }

  /** Lets the timers that hold frames run out; then the slab must be empty. */
  end(t: ExecutionContext): void {
    this.walk.run(this.k.clock.now + 100e9);
    t.is(this.k.skb.live, 0);
  }

  private tap(name: string): void {
    const d = this.device(name);
    this.k.dev.tap[d] = this.k.capture.addInterface(d, name);
  }
}

/** A datagram between two counted MACs. */
export function datagram(src: string, dst: string, odd: Partial<UdpFrame> = {}): Uint8Array {
  const ips = { src: "10.9.0.1", dst: "10.9.0.2" };
  return udpFrame({ srcMac: src, dstMac: dst, ...ips, sport: 1, dport: 2, payload: "x", ...odd });
}

export function arp(odd: Partial<ArpFrame> & Pick<ArpFrame, "senderMac">): Uint8Array {
  const base = { dstMac: BROADCAST, senderIp: "10.9.0.1", targetIp: "10.9.0.2" };
  return arpFrame({ srcMac: odd.senderMac, ...base, ...odd });
}
