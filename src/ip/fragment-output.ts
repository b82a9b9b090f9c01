// Fragmentation on output. Mirrors ip_do_fragment() of net/ipv4/ip_output.c: a datagram that was reassembled
// is cut where it was cut before if every piece still fits (the frag_list path), otherwise at the MTU, never
// above the largest original fragment (K 3.7).

import { Drop } from "../node/drop.ts";
import { DevKind } from "../node/net-device.ts";
import { NoteKind } from "../node/notes.ts";
import { SkbFlag } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";
import {
  IPV4_DF,
  IPV4_MF,
  IPV4_SIZE,
  ipv4FillChecksum,
  ipv4Fragment,
  ipv4HeaderLength,
  ipv4IsLaterFragment,
  setIpv4Fragment,
  setIpv4TotalLength,
} from "../wire/ipv4.ts";
import { IPOPT_END, IPOPT_NOOP, ipv4OptionIsCopied } from "../wire/ipv4-options.ts";
import { VLAN_SIZE } from "../wire/vlan.ts";
import { GEOMETRY_MAX } from "./fragment.ts";
import type { Ip } from "./ip.ts";
import { NUD_VALID } from "./neigh-table.ts";

/**
 * Cuts the datagram; the pieces enter `next` in order. @param out device the pieces are counted on when
 * memory is short
 */
export function ipDoFragment(ip: Ip, f: number, outputMtu: number, out: number, next: Stage): Stage {
  const { k } = ip;
  const { skb } = k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const headerLength = ipv4HeaderLength(v, l3);
  const fragMax = skb.fragMax[f];
  const mtu = (fragMax !== 0 && fragMax < outputMtu ? fragMax : outputMtu) - headerLength;
  if (mtu < 8) return k.drop(f, Drop.PKT_TOO_BIG);
  const total = skb.len[f];
  const word = ipv4Fragment(v, l3);
  // br_validate_ipv4 has cleared IPSKB_FRAG_PMTU of what leaves by a bridge port.
  const bridged = next === Stage.BR_DEV_QUEUE_PUSH_XMIT;
  const df = !bridged && skb.flags[f] & SkbFlag.FRAG_PMTU ? IPV4_DF : 0;
  const kept = keepsGeometry(ip, f, total, mtu) ? l3 + total : -1;
  let at = headerLength;
  let pieces = 0;
  while (at < total) {
    const left = total - at;
    let size = left;
    if (kept >= 0) size = v.getUint16(kept + 2 + 2 * pieces);
    else if (left > mtu) size = mtu & ~7;
    const offset = (at - headerLength) >> 3;
    const more = at + size < total || (word & IPV4_MF) !== 0 ? IPV4_MF : 0;
    const c = piece(ip, f, out, headerLength, at, size, offset > 0);
    if (c < 0) break;
    setIpv4Fragment(v, skb.l3[c], ((word & 0x1fff) + offset) | more | (kept >= 0 ? 0 : df));
    ipv4FillChecksum(v, skb.l3[c]);
    if (bridged) {
      skb.dev[c] = skb.physOut[f];
      skb.push(c, skb.off[c] - skb.mac[c]);
    }
    const lost = !bridged && isLostAtOnce(ip, f, c);
    k.enqueue(c, next);
    at += size;
    pieces++;
    if (lost) break;
  }
  if (k.observing) k.note(f, NoteKind.FRAGMENT, pieces, mtu + headerLength, 0, 0, 0);
  return k.consume(f);
}

// Whether the pieces it came in still fit: each at most the MTU, all but the last a multiple of eight.
function keepsGeometry(ip: Ip, f: number, total: number, mtu: number): boolean {
  const { skb } = ip.k;
  if (!(skb.flags[f] & SkbFlag.DEFRAGMENTED)) return false;
  const at = skb.l3[f] + total;
  const pieces = skb.view.getUint16(at);
  if (pieces < 2 || pieces > GEOMETRY_MAX) return false;
  for (let i = 0; i < pieces; i++) {
    const size = skb.view.getUint16(at + 2 + 2 * i);
    if (size > mtu || (i < pieces - 1 && (size & 7) !== 0)) return false;
  }
  return true;
}

// A veth whose other end does not take the piece says so to the sender (NET_XMIT_DROP), and ip_do_fragment()
// gives up; but not while the piece only waits for its neighbour.
function isLostAtOnce(ip: Ip, f: number, c: number): boolean {
  const { skb, dev } = ip.k;
  const out = skb.outDev[f];
  if (dev.kind[out] !== DevKind.VETH) return false;
  const peer = dev.peer[out];
  if (peer >= 0 && dev.up[peer] !== 0 && skb.len[c] <= dev.mtu[peer] + VLAN_SIZE) return false;
  const { table } = ip.neigh;
  const n = table.find(out, skb.nexthop[f]);
  return n >= 0 && (table.state[n] & NUD_VALID) !== 0;
}

function piece(
  ip: Ip,
  f: number,
  out: number,
  headerLength: number,
  at: number,
  size: number,
  later: boolean,
): number {
  const { k } = ip;
  const { skb } = k;
  const c = k.alloc(headerLength + size, skb.ns[f], out);
  if (c < 0) return -1;
  k.packets--;
  skb.inherit(c, f);
  const l3 = skb.l3[f];
  const o = skb.off[c];
  const link = l3 - skb.mac[f];
  const before = link > 0 && link <= 18 ? link : 0;
  skb.bytes.copyWithin(o - before, l3 - before, l3 + headerLength);
  skb.bytes.copyWithin(o + headerLength, l3 + at, l3 + at + size);
  skb.flags[c] = skb.flags[f] & ~(SkbFlag.CT_REF | SkbFlag.DEFRAGMENTED | SkbFlag.FRAG_PMTU);
  skb.fragMax[c] = 0;
  skb.l3[c] = o;
  skb.l4[c] = o + headerLength;
  skb.mac[c] = o - before;
  setIpv4TotalLength(skb.view, o, headerLength + size);
  // Options were fixed already in what is itself a later piece, and are not known to the bridge.
  if (later && skb.flags[c] & SkbFlag.IP_OPTIONS && !ipv4IsLaterFragment(skb.view, l3))
    blankOptions(ip, c, headerLength);
  return c;
}

// ip_options_fragment: options without the copied flag become no-operations in later pieces.
function blankOptions(ip: Ip, c: number, headerLength: number): void {
  const v = ip.k.skb.view;
  const end = ip.k.skb.l3[c] + headerLength;
  for (let at = ip.k.skb.l3[c] + IPV4_SIZE; at < end; ) {
    const type = v.getUint8(at);
    if (type === IPOPT_END) return;
    if (type === IPOPT_NOOP) {
      at++;
      continue;
    }
    const length = v.getUint8(at + 1);
    if (length < 2 || at + length > end) return;
    if (!ipv4OptionIsCopied(type)) for (let i = 0; i < length; i++) v.setUint8(at + i, IPOPT_NOOP);
    at += length;
  }
}
