// The deterministic neighbours of a case, used by both arms: who answers ARP at the NIC's far end (the
// fabric answers for every address with one MAC), pods that answer ARP and nothing else, and the fabric's
// echo.

const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV4 = 0x0800;
const ARP_LEN = 28;

function u16(b: Uint8Array, o: number): number {
  return (b[o]! << 8) | b[o + 1]!;
}

/** The reply to an ARP request, saying `mac`; null when the frame is no request (or not for `onlyIp`). */
export function arpReplyTo(frame: Uint8Array, mac: string, onlyIp: string | null): Uint8Array | null {
  if (frame.length < 14 + ARP_LEN || u16(frame, 12) !== ETHERTYPE_ARP || u16(frame, 20) !== 1) return null;
  const target = frame.slice(38, 42);
  if (onlyIp !== null && target.join(".") !== onlyIp) return null;
  if (target.join() === frame.slice(28, 32).join()) return null; // gratuitous
  const own = mac.split(":").map((x) => Number.parseInt(x, 16));
  const reply = new Uint8Array(14 + ARP_LEN);
  reply.set(frame.slice(22, 28), 0);
  reply.set(own, 6);
  reply.set([8, 6, 0, 1, 8, 0, 6, 4, 0, 2], 12);
  reply.set(own, 22);
  reply.set(target, 28);
  reply.set(frame.slice(22, 32), 32);
  return reply;
}

/** A UDP datagram or ICMP echo request turned round: addresses, ports and MACs swapped; checksums need no
 * other change. */
export function echoOf(frame: Uint8Array): Uint8Array | null {
  if (frame.length < 42 || u16(frame, 12) !== ETHERTYPE_IPV4 || frame[14] !== 0x45) return null;
  if ((u16(frame, 20) & 0x3fff) !== 0) return null; // a fragment
  const out = frame.slice();
  out.set(frame.slice(6, 12), 0);
  out.set(frame.slice(0, 6), 6);
  out.set(frame.slice(30, 34), 26);
  out.set(frame.slice(26, 30), 30);
  if (frame[23] === 17) {
    out.set(frame.slice(36, 38), 34);
    out.set(frame.slice(34, 36), 36);
    return out;
  }
  if (frame[23] !== 1 || frame[34] !== 8) return null;
  out[34] = 0;
  const sum = u16(frame, 36) + 0x0800; // echo request to reply: the first word falls by 0x0800
  const folded = (sum & 0xffff) + (sum >> 16);
  out[36] = folded >> 8;
  out[37] = folded & 255;
  return out;
}
