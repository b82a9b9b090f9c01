// A captured TCP segment, taken apart for comparison, with its checksums checked.

import { ipv4Check, ipv4End, ipv4Payload, ipv4Protocol, PROTO_TCP } from "../../../src/wire/ipv4.ts";
import {
  tcpAcknowledgment,
  tcpCheck,
  tcpDestinationPort,
  tcpFlags,
  tcpHeaderLength,
  tcpSequence,
  tcpSourcePort,
  tcpWindow,
} from "../../../src/wire/tcp.ts";

export interface Segment {
  time: number;
  bytes: Uint8Array;
  flags: number;
  seq: number;
  ack: number;
  window: number;
  length: number;
  payload: Uint8Array;
  sourcePort: number;
  destinationPort: number;
  /** Options as text; `relative` maps numbers of SACK blocks. Timestamps show no values. */
  options(relative: (n: number) => number): string;
}

/** Null when the frame is no TCP. */
export function segmentOf(bytes: Uint8Array, time: number): Segment | null {
  const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (v.getUint16(12) !== 0x0800 || ipv4Check(v, 14, bytes.length) !== 0) return null;
  if (ipv4Protocol(v, 14) !== PROTO_TCP) return null;
  const o = ipv4Payload(v, 14);
  const end = ipv4End(v, 14);
  if (tcpCheck(v, o, end, 14) !== 0) throw new Error("a malformed TCP segment was sent");
  const data = o + tcpHeaderLength(v, o);
  return {
    time,
    bytes,
    flags: tcpFlags(v, o),
    seq: tcpSequence(v, o),
    ack: tcpAcknowledgment(v, o),
    window: tcpWindow(v, o),
    length: end - data,
    payload: bytes.slice(data, end),
    sourcePort: tcpSourcePort(v, o),
    destinationPort: tcpDestinationPort(v, o),
    options: (relative) => optionText(v, o + 20, data, relative),
  };
}

function optionText(v: DataView, from: number, end: number, relative: (n: number) => number): string {
  const out: string[] = [];
  for (let at = from; at < end; ) {
    const kind = v.getUint8(at);
    if (kind === 1) {
      out.push("nop");
      at++;
      continue;
    }
    if (kind === 2) out.push(`mss ${v.getUint16(at + 2)}`);
    else if (kind === 3) out.push(`wscale ${v.getUint8(at + 2)}`);
    else if (kind === 4) out.push("sackOK");
    else if (kind === 8) out.push("TS");
    else if (kind === 5) {
      const blocks: string[] = [];
      for (let b = at + 2; b < at + v.getUint8(at + 1); b += 8) {
        blocks.push(`${relative(v.getInt32(b))}:${relative(v.getInt32(b + 4))}`);
      }
      out.push(`sack ${blocks.join(" ")}`);
    } else out.push(`option ${kind}`);
    at += v.getUint8(at + 1);
  }
  return out.join(",");
}
