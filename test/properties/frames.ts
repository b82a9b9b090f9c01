// Random frames: valid ones of every protocol between parties that exist or do not, then damaged, cut,
// padded, tagged or fragmented; some that are only noise; and what hosts really say to those who listen.

import type { Random } from "../../src/core/random.ts";
import {
  arpFrame,
  type Ip,
  icmpEchoFrame,
  icmpErrorFrame,
  ipPacketOf,
  tcpFrame,
  udpFrame,
} from "../../src/wire/build.ts";
import { icmpv4FillChecksum } from "../../src/wire/icmpv4.ts";
import { ipv4FillChecksum } from "../../src/wire/ipv4.ts";
import { tcpFillChecksum } from "../../src/wire/tcp.ts";
import { udpFillChecksum } from "../../src/wire/udp.ts";
import { between, chance, pick } from "./draw.ts";
import type { Speaker, World } from "./world.ts";

const PORTS = [0, 7, 53, 67, 68, 80, 81, 443, 5432, 8080, 9000, 32_768, 40_000, 65_330, 65_535];
const TTLS = [0, 1, 2, 3, 64, 255];
const IP_OPTIONS = [
  [1, 1, 1, 0],
  [7, 7, 4, 0, 0, 0, 0],
  [68, 8, 5, 0, 0, 0, 0, 0],
  [131, 7, 4, 10, 0, 0, 1],
  [148, 4, 0, 0],
  [137, 2],
  [222, 40, 1],
  [0, 9, 9, 9],
];

/** One frame of any kind, whole. */
export function randomFrame(r: Random, w: World): Uint8Array {
  const kind = r.below(20);
  if (kind === 0) return noise(r, r.below(120));
  return kind < 3 ? randomArp(r, w) : randomIp(r, w);
}

/** What the stack of `from` sends to somebody who listens, directly or by a Service. */
export function spokenFrame(r: Random, w: World, from: Speaker): Uint8Array {
  const service = from.isPod && w.services.length > 0 && chance(r, 0.4);
  const to = service ? { ip: pick(r, w.services), port: chance(r, 0.8) ? 80 : 81 } : pick(r, w.listeners);
  const ip = {
    srcMac: from.mac,
    dstMac: from.next,
    src: from.ip,
    dst: to.ip,
    ...(chance(r, 0.05) ? { ipOptions: Uint8Array.from(pick(r, IP_OPTIONS)) } : {}),
  };
  // Few source ports, so that flows are met again.
  const ports = { sport: 40_000 + r.below(50), dport: to.port };
  const payload = chance(r, 0.95) ? r.below(64) : 1472;
  const kind = r.below(10);
  if (kind === 0) return icmpEchoFrame({ ...ip, ident: 1, seq: r.below(4), payload });
  if (kind === 1)
    return tcpFrame({ ...ip, ...ports, flags: pick(r, [2, 16, 17, 4]), seq: 1, ack: 1, payload });
  return udpFrame({ ...ip, ...ports, payload });
}

function noise(r: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => r.u32());
}

const mac = (r: Random, w: World): string => pick(r, w.macs);
const address = (r: Random, w: World): string =>
  pick(r, chance(r, 0.3) && w.services.length ? w.services : w.addresses);
const port = (r: Random): number => (chance(r, 0.8) ? pick(r, PORTS) : r.below(65_536));

function randomArp(r: Random, w: World): Uint8Array {
  return arpFrame({
    reply: chance(r, 0.4),
    senderMac: mac(r, w),
    senderIp: address(r, w),
    targetIp: address(r, w),
    srcMac: mac(r, w),
    ...(chance(r, 0.5) ? { targetMac: mac(r, w) } : {}),
    dstMac: mac(r, w),
    ...tag(r),
  });
}

const tag = (r: Random): { vlan?: { id: number } } =>
  chance(r, 0.04) ? { vlan: { id: r.below(4096) } } : {};

function header(r: Random, w: World): Ip {
  return {
    srcMac: mac(r, w),
    dstMac: mac(r, w),
    src: address(r, w),
    dst: address(r, w),
    ttl: chance(r, 0.7) ? 64 : pick(r, TTLS),
    tos: chance(r, 0.9) ? 0 : r.below(256),
    id: r.below(3),
    df: chance(r, 0.3),
    ...(chance(r, 0.15) ? { mf: chance(r, 0.6), fragmentOffset: pick(r, [0, 8, 16, 24, 1480, 65_528]) } : {}),
    ...(chance(r, 0.08) ? { ipOptions: Uint8Array.from(pick(r, IP_OPTIONS)) } : {}),
    ...tag(r),
  };
}

function randomIp(r: Random, w: World): Uint8Array {
  const ip = header(r, w);
  const size = chance(r, 0.85) ? r.below(64) : pick(r, [1472, 1473, 1480, 2000]);
  switch (r.below(7)) {
    case 0:
      return icmpEchoFrame({
        ...ip,
        reply: chance(r, 0.3),
        ident: r.below(4),
        seq: r.below(4),
        payload: size,
      });
    case 1:
      return randomError(r, w, ip);
    case 2:
    case 3:
      return tcpFrame({
        ...ip,
        sport: port(r),
        dport: port(r),
        seq: r.below(5000),
        ack: r.below(5000),
        flags: chance(r, 0.4) ? 2 : r.below(256),
        window: r.below(65_536),
        payload: size,
        ...(chance(r, 0.3) ? { options: noise(r, r.below(40)) } : {}),
      });
    case 4:
      return withProtocol(r, udpFrame({ ...ip, sport: port(r), dport: port(r), payload: size }));
    default:
      return udpFrame({ ...ip, sport: port(r), dport: port(r), payload: size, checksum: chance(r, 0.9) });
  }
}

/** An ICMP error about a packet that may have been seen here. */
function randomError(r: Random, w: World, ip: Ip): Uint8Array {
  const inner = chance(r, 0.2)
    ? tcpFrame({ ...header(r, w), sport: port(r), dport: port(r), flags: 2 })
    : udpFrame({ ...header(r, w), sport: port(r), dport: port(r), payload: r.below(20) });
  const quote = ipPacketOf(inner, chance(r, 0.8) ? 548 : r.below(40));
  const [type, code] = pick(r, [
    [3, 0],
    [3, 1],
    [3, 3],
    [3, 4],
    [4, 0],
    [5, 1],
    [11, 0],
    [11, 1],
    [12, 0],
    [13, 0],
  ] as const);
  return icmpErrorFrame({ ...ip, type, code, mtu: pick(r, [0, 68, 552, 1400, 65_535]), quote });
}

/** The same bytes under another IP protocol number: SCTP, GRE, IP in IP, anything. */
function withProtocol(r: Random, frame: Uint8Array): Uint8Array {
  const at = frame[12] === 0x81 ? 18 : 14;
  frame[at + 9] = chance(r, 0.7) ? pick(r, [2, 4, 47, 50, 132]) : r.below(256);
  ipv4FillChecksum(new DataView(frame.buffer), at);
  return frame;
}

/** Some bytes behind the Ethernet header are others: mostly few, mostly with checksums made right again. */
export function mutate(r: Random, given: Uint8Array): Uint8Array {
  const frame = given.slice();
  for (let n = chance(r, 0.6) ? 1 : between(r, 2, 4); n > 0; n--) {
    frame[between(r, 14, frame.length - 1)] = r.u32();
  }
  if (chance(r, 0.9)) mend(frame);
  return frame;
}

/** Cut, padded, patched; mostly with checksums made right again, so that the damage gets deep. */
export function damage(r: Random, given: Uint8Array): Uint8Array {
  let frame = given.slice();
  const how = r.below(4);
  if (how === 0) frame = frame.slice(0, r.below(frame.length + 1));
  if (how === 1) {
    const longer = new Uint8Array(frame.length + r.below(64));
    longer.set(frame);
    frame = longer;
  }
  for (let n = how < 2 ? 0 : between(r, 1, 4); n > 0 && frame.length > 0; n--) {
    frame[Math.min(r.below(60), frame.length - 1)] = r.u32();
  }
  if (chance(r, 0.8)) mend(frame);
  return frame;
}

/** Writes every checksum anew, as far as there are headers. */
export function mend(frame: Uint8Array): void {
  const at = frame[12] === 0x81 && frame[13] === 0 ? 18 : 14;
  if (frame.length < at + 20 || frame[at]! >> 4 !== 4) return;
  const header = (frame[at]! & 15) * 4;
  if (header < 20 || at + header > frame.length) return;
  const v = new DataView(frame.buffer);
  ipv4FillChecksum(v, at);
  const end = Math.min(frame.length, at + v.getUint16(at + 2));
  const l4 = at + header;
  if (frame[at + 9] === 1 && end - l4 >= 4) icmpv4FillChecksum(v, l4, end);
  if (frame[at + 9] === 17 && end - l4 >= 8) udpFillChecksum(v, l4, end, at);
  if (frame[at + 9] === 6 && end - l4 >= 18) tcpFillChecksum(v, l4, end, at);
}
