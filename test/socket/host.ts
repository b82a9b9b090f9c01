// The other folders' part of a path, as small as it can be, so that socket/ is tested alone: a host with eth0
// 10.1.0.2/24 (the one of kernel-goldens.py), IP input up to IP_LOCAL_DELIVER_FINISH and IP output from
// IP_LOCAL_OUT on.

import { readFileSync } from "node:fs";
import type { ExecutionContext } from "ava";
import { Drop, dropName } from "../../src/node/drop.ts";
import { Scope } from "../../src/node/in-ifaddr.ts";
import { Kernel } from "../../src/node/kernel.ts";
import { DevKind } from "../../src/node/net-device.ts";
import { PacketType, SkbFlag } from "../../src/node/sk-buff.ts";
import { Stage } from "../../src/node/stage.ts";
import { icmpRcv } from "../../src/socket/icmp.ts";
import { protoUnknown } from "../../src/socket/proto-unknown.ts";
import { Sockets } from "../../src/socket/sockets.ts";
import { tcpRcv } from "../../src/socket/tcp/input.ts";
import { udpRcv } from "../../src/socket/udp.ts";
import { parseIpv4 } from "../../src/wire/address.ts";
import { ETHERTYPE_IPV4, writeEthernet } from "../../src/wire/ethernet.ts";
import {
  ipv4Check,
  ipv4Df,
  ipv4Dst,
  ipv4End,
  ipv4FillChecksum,
  ipv4Payload,
  ipv4Protocol,
  ipv4Src,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
  setIpv4Id,
  setIpv4Src,
} from "../../src/wire/ipv4.ts";
import { tcpFillChecksum } from "../../src/wire/tcp.ts";
import { udpFillChecksum } from "../../src/wire/udp.ts";

export const addr = (text: string): number => parseIpv4(text)!;
export const HOST = addr("10.1.0.2");
export const WIRE = addr("10.1.0.1");
export const BROADCAST = addr("10.1.0.255");
export const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"));
export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

export interface Host {
  k: Kernel;
  s: Sockets;
  ns: number;
  eth0: number;
}

export function makeHost(frames = 2048): Host {
  const k = new Kernel({ seed: 7, frames, largeFrames: 4, frameBytes: 1514 });
  const ns = k.addNamespace("pod", -1);
  k.addAddress(k.ns.loopback[ns], addr("127.0.0.1"), 8, Scope.HOST);
  const eth0 = k.addDevice(ns, DevKind.VETH, "eth0");
  k.dev.macHi[eth0] = 0x0200;
  k.dev.macLo[eth0] = 2;
  k.setUp(eth0, true);
  k.addAddress(eth0, HOST, 24, Scope.UNIVERSE);
  return { k, s: new Sockets(k), ns, eth0 };
}

/** What became of a frame: the stage it was left to, or how it ended, and the packets it made. */
export interface Outcome {
  /**
   * "consumed", the name of a drop reason, "icmp 3/3", or "not ours" when IP input keeps it from the sockets.
   */
  end: string;
  /** Whole Ethernet frames, in order. */
  sent: string[];
}

/** A frame for the transport layer as IP_LOCAL_DELIVER_FINISH hands it over, or -1 when IP input stops it. */
export function arriving(h: Host, frame: Uint8Array): number {
  const { skb } = h.k;
  const f = h.k.alloc(frame.length, h.ns, h.eth0);
  const o = skb.off[f];
  skb.bytes.set(frame, o);
  skb.dev[f] = h.eth0;
  skb.iif[f] = h.eth0;
  skb.protocol[f] = ETHERTYPE_IPV4;
  skb.mac[f] = o;
  skb.pull(f, 14);
  const l3 = skb.off[f];
  if (ipv4Check(skb.view, l3, skb.end(f)) !== 0) return stopped(h, f);
  skb.len[f] = ipv4End(skb.view, l3) - l3;
  skb.l3[f] = l3;
  skb.l4[f] = ipv4Payload(skb.view, l3);
  const mac = hexOf(frame.slice(0, 6));
  if (mac === "ffffffffffff") skb.pktType[f] = PacketType.BROADCAST;
  else if (mac !== "020000000002") return stopped(h, f);
  const dst = ipv4Dst(skb.view, l3);
  if (dst === HOST) skb.rtType[f] = 2;
  else if (dst === BROADCAST || dst === -1) skb.rtType[f] = 3;
  else return stopped(h, f);
  return f;
}

function stopped(h: Host, f: number): number {
  h.k.consume(f);
  return -1;
}

export function deliver(h: Host, f: number): Outcome {
  const { k, s } = h;
  const proto = ipv4Protocol(k.skb.view, k.skb.l3[f]);
  const before = k.dropped;
  let stage: Stage;
  if (proto === PROTO_ICMP) stage = icmpRcv(s, f);
  else if (proto === PROTO_UDP) stage = udpRcv(s, f);
  else if (proto === PROTO_TCP) stage = tcpRcv(s, f);
  else stage = protoUnknown(s, f);
  let end = k.dropped === before ? "consumed" : lastDrop(h);
  if (stage === Stage.ICMP_SEND) {
    end = `icmp ${k.skb.icmp[f] >> 8}/${k.skb.icmp[f] & 255} ${dropName(k.skb.reason[f])}`;
    if (k.skb.pktType[f] !== PacketType.HOST || k.skb.rtType[f] !== 2) end += ", not sent";
    k.drop(f, k.skb.reason[f]);
  }
  return { end, sent: drain(h) };
}

export function receive(h: Host, frame: Uint8Array): Outcome {
  const f = arriving(h, frame);
  return f < 0 ? { end: "not ours", sent: [] } : deliver(h, f);
}

const seen = new WeakMap<Kernel, number[]>();

/** The reason whose counter grew since the last call. */
function lastDrop(h: Host): string {
  const { drops } = h.k;
  const old = seen.get(h.k) ?? [];
  const now = [...drops.packets.slice(0, drops.rows.used)];
  seen.set(h.k, now);
  const row = now.findIndex((n, i) => n !== (old[i] ?? 0));
  return dropName(row < 0 ? 0 : drops.reason[row]);
}

/**
 * IP output for everything in the backlog: source, identification, checksums, Ethernet header. Frees the
 * frames.
 */
export function drain(h: Host): string[] {
  const { k } = h;
  const { skb } = k;
  const out: string[] = [];
  while (k.backlog.size > 0) {
    const f = k.backlog.shift();
    if (k.backlog.second !== Stage.IP_LOCAL_OUT) throw new Error(`stage ${k.backlog.second}`);
    const v = skb.view;
    const l3 = skb.off[f];
    if (ipv4Src(v, l3) === 0) setIpv4Src(v, l3, HOST);
    const proto = ipv4Protocol(v, l3);
    if (proto !== PROTO_TCP || !ipv4Df(v, l3)) setIpv4Id(v, l3, 0x4242);
    if (skb.flags[f] & SkbFlag.CSUM_PARTIAL) {
      if (proto === PROTO_UDP) udpFillChecksum(v, skb.l4[f], skb.end(f), l3);
      else tcpFillChecksum(v, skb.l4[f], skb.end(f), l3);
    }
    ipv4FillChecksum(v, l3);
    skb.push(f, 14);
    writeEthernet(v, skb.off[f], 0x0200, 1, 0x0200, 2, ETHERTYPE_IPV4);
    out.push(hexOf(skb.bytes.slice(skb.off[f], skb.end(f))));
    k.consume(f);
  }
  return out;
}

/** A section of kernel.txt: frames in, frames out, values. */
export interface Golden {
  name: string;
  input: string;
  output: string[];
  values: string[];
}

export const GOLDENS: readonly Golden[] = readGoldens();

function readGoldens(): Golden[] {
  const out: Golden[] = [];
  for (const line of readFileSync("test/socket/kernel.txt", "utf8").split("\n")) {
    const last = out.at(-1);
    if (line.startsWith("[")) out.push({ name: line.slice(1, -1), input: "", output: [], values: [] });
    else if (line.startsWith("> ")) last!.input = line.slice(2);
    else if (line.startsWith("< ")) last!.output.push(line.slice(2));
    else if (line.startsWith("= ")) last!.values.push(line.slice(2));
  }
  return out;
}

export function golden(name: string): Golden {
  const found = GOLDENS.find((g) => g.name === name);
  if (found === undefined) throw new Error(`no golden named ${name}`);
  return found;
}

/** A frame with the IP identification and the header checksum that depends on it blanked. */
export function withoutId(hex: string): string {
  return `${hex.slice(0, 36)}....${hex.slice(40, 48)}....${hex.slice(52)}`;
}

/** Every test ends with an empty slab and an empty backlog. */
export function assertEmpty(t: ExecutionContext, h: Host): void {
  t.is(h.k.backlog.size, 0);
  t.is(h.k.skb.live, 0);
}

export { Drop };
