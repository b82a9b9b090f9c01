// What the two arms may legitimately say differently, and nothing else. Each mask hides bytes in the
// printed hex (as dots) and the same field in the line above it; a checksum that covers a hidden field is
// hidden too, but it is still verified, and a wrong one says BAD in the line.
//
// Always on:
//   icmp-id       the IP identification of ICMP messages a kernel makes (echo reply, unreachable, time
//                 exceeded, redirect, timestamp reply, and later fragments of ICMP; also where an error
//                 quotes such a message). Linux draws it from a counter hashed with a boot-time secret, so no
//                 two boots agree.
//   socket-id     in cases with sockets, the identification of UDP and TCP packets with DF set and of
//                 fragments: a socket's packets are numbered by the same counter or by a random start.
//                 Without sockets it is compared (a reset carries 0). Also where an ICMP error quotes it.
//   icmp-clock    the two times of day in an ICMP timestamp reply.
// On demand, named by the case:
//   random-ports  a port or echo id the kernel picked at random (MASQUERADE --random-fully, or a collision).
//                 Those that no frame, Service or socket of the case names are renamed P1, P2, ... in order
//                 of appearance, with the range they fell in when it is not the usual one; in the conntrack
//                 table too.
//   socket-ids    socket-id for packets without DF too: on a path locked at min_pmtu sockets send those.
//   option-clock  times of day in the IP timestamp option, also where an ICMP error quotes it.
//   isn           the initial sequence number of a listener's SYN-ACK, drawn from a secret per boot.

import type { CaseMask, NodeCase } from "./case.ts";

export interface Hidden {
  /** Byte ranges of the frame: [offset, length]. */
  ranges: [number, number][];
  /** Port offset in the frame to its new name. */
  portNames: Map<number, string>;
  ipId: boolean;
  /** The same field of the packet an ICMP error quotes. */
  innerId: boolean;
  sequence: boolean;
}

const ICMP_TIMESTAMP_REPLY = 14;
const IPOPT_TIMESTAMP = 68;
const KERNEL_MADE_ICMP = new Set([0, 3, 5, 11, 12, 14]);

/** One per arm and case: names random ports in order of appearance. */
export class Masks {
  readonly #on: Set<CaseMask>;
  readonly #sockets: boolean;
  readonly #alwaysRandom: boolean;
  readonly #knownPorts = new Set<number>();
  readonly #knownSequences = new Set<number>();
  readonly #names = new Map<number, string>();

  constructor(c: NodeCase) {
    this.#on = new Set(c.masks ?? []);
    const added = c.steps
      .flatMap((s) => s.change ?? [])
      .flatMap((ch) => (ch.kind === "add-pod" ? [ch.pod] : []));
    this.#alwaysRandom = c.node.proxy?.randomFully === true;
    const talks = c.steps.some((s) => s.send?.some((one) => "udp" in one));
    this.#sockets = talks || [c.node, ...c.node.pods, ...added].some((p) => (p.sockets ?? []).length > 0);
    if (this.#on.size === 0) return;
    for (const step of c.steps)
      for (const send of step.send ?? []) {
        if ("udp" in send) this.#knownPorts.add(send.udp.from).add(send.udp.port);
        else this.#learn(Buffer.from(send.frame, "hex"));
      }
    const services = c.node.proxy?.services ?? [];
    for (const s of services) {
      this.#knownPorts.add(s.port).add(s.nodePort ?? s.port);
      for (const e of s.endpoints) this.#knownPorts.add(e.port);
    }
    for (const p of [...c.node.pods, c.node]) for (const s of p.sockets ?? []) this.#knownPorts.add(s.port);
  }

  #learn(frame: Buffer): void {
    const echo = echoOffset(frame, 14);
    if (echo >= 0) this.#knownPorts.add(frame.readUInt16BE(echo));
    const l4 = transportOffset(frame, 14);
    if (l4 < 0) return;
    this.#knownPorts.add(frame.readUInt16BE(l4)).add(frame.readUInt16BE(l4 + 2));
    if (frame[23] === 6 && frame.length >= l4 + 8) this.#knownSequences.add(frame.readUInt32BE(l4 + 4));
  }

  /** What to hide in a captured frame. */
  hide(frame: Buffer): Hidden {
    const h: Hidden = { ranges: [], portNames: new Map(), ipId: false, innerId: false, sequence: false };
    if (frame.length < 34 || frame.readUInt16BE(12) !== 0x0800) return h;
    const l4 = 14 + (frame[14]! & 15) * 4;
    if (frame[23] === 1) {
      const later = (frame.readUInt16BE(20) & 0x1fff) !== 0;
      h.ipId = later || (frame.length > l4 && KERNEL_MADE_ICMP.has(frame[l4]!));
    } else if (frame[23] === 6 || frame[23] === 17) {
      h.ipId = this.#numbered(frame.readUInt16BE(20));
    }
    if (h.ipId) h.ranges.push([18, 2], [24, 2]);
    if (frame[23] === 1 && frame[l4] === ICMP_TIMESTAMP_REPLY) h.ranges.push([l4 + 2, 2], [l4 + 12, 8]);
    this.#hideQuotedId(frame, l4 + 8, h);
    if (this.#on.has("option-clock")) this.#hideTimes(frame, l4, h);
    if (this.#on.has("random-ports")) this.#hidePorts(frame, h);
    if (this.#on.has("isn")) this.#hideSequence(frame, h);
    return h;
  }

  /** Whether a socket may have drawn the identification beside these flags and offset. */
  #numbered(fragment: number): boolean {
    return this.#sockets && ((fragment & 0x7fff) !== 0 || this.#on.has("socket-ids"));
  }

  /** Times written into IP headers, and every checksum they count in. */
  #hideTimes(frame: Buffer, l4: number, h: Hidden): void {
    const own = writtenTimes(frame, 14);
    if (own.length > 0) h.ranges.push(...own, [24, 2]);
    if (frame[23] !== 1) return;
    const quoted = writtenTimes(frame, l4 + 8);
    if (quoted.length > 0) h.ranges.push(...quoted, [l4 + 18, 2], [l4 + 2, 2]);
  }

  #hideQuotedId(frame: Buffer, inner: number, h: Hidden): void {
    if (frame[23] !== 1 || frame.length < inner + 20) return;
    const proto = frame[inner + 9]!;
    const l4 = inner + (frame[inner]! & 15) * 4;
    if (proto === 1) h.innerId = frame.length > l4 && KERNEL_MADE_ICMP.has(frame[l4]!);
    else if (proto === 6 || proto === 17) h.innerId = this.#numbered(frame.readUInt16BE(inner + 6));
    if (proto === 1 && frame.length > l4 && frame[l4] === ICMP_TIMESTAMP_REPLY)
      h.ranges.push([l4 + 2, 2], [l4 + 12, 8]);
    if (h.innerId) h.ranges.push([inner + 4, 2], [inner + 10, 2]);
  }

  #hidePorts(frame: Buffer, h: Hidden): void {
    const echo = echoOffset(frame, 14);
    if (echo >= 0) this.#hideField(frame, echo, echo - 2, h);
    const l4 = transportOffset(frame, 14);
    if (l4 >= 0) this.#hidePair(frame, l4, frame[23]!, h);
    const inner = 14 + (frame[14]! & 15) * 4 + 8;
    if (frame[23] !== 1 || frame.length < inner + 20) return;
    const quoted = transportOffset(frame, inner);
    if (quoted >= 0 && this.#hidePair(frame, quoted, frame[inner + 9]!, h)) h.ranges.push([inner - 6, 2]);
  }

  #hidePair(frame: Buffer, l4: number, proto: number, h: Hidden): boolean {
    const sum = l4 + (proto === 6 ? 16 : 6);
    const source = this.#hideField(frame, l4, sum, h);
    return this.#hideField(frame, l4 + 2, sum, h) || source;
  }

  #hideField(frame: Buffer, at: number, sum: number, h: Hidden): boolean {
    const port = frame.readUInt16BE(at);
    if (this.#knownPorts.has(port)) return false;
    let name = this.#names.get(port);
    if (name === undefined) {
      const range = port < 512 ? "<512" : port < 600 ? "<600" : port < 1024 ? "<1024" : "";
      name = `P${this.#names.size + 1}${frame[23] === 1 ? "" : range}`;
      this.#names.set(port, name);
    }
    h.portNames.set(at, name);
    h.ranges.push([at, 2], [sum, 2]);
    return true;
  }

  /** A port picked at random that happens to be one the case names: the run tells nothing, run it again. */
  unlucky(conntrack: string[]): boolean {
    if (!this.#on.has("random-ports")) return false;
    return conntrack.some((line) => {
      const all = (pattern: RegExp): string[] => [...line.matchAll(pattern)].map((m) => m[1]!);
      const ports = all(/(?:sport|dport|id)=(\d+)/g);
      const masqueraded = all(/src=(\S+)/g)[0] !== all(/dst=(\S+)/g)[1];
      const picked = ports[0] !== ports.at(-1) || (this.#alwaysRandom && masqueraded);
      return picked && this.#knownPorts.has(Number(ports.at(-1)));
    });
  }

  /** Conntrack lines with random ports by the names the frames gave them. */
  hideInState(lines: string[]): string[] {
    if (!this.#on.has("random-ports")) return lines;
    const named = (line: string): string =>
      line.replace(/(sport|dport|id)=(\d+)/g, (all, key, port) => {
        const name = this.#names.get(Number(port));
        // A connection may have ended before a frame showed its port.
        const fallback = this.#knownPorts.has(Number(port)) ? all : `${key}=P?`;
        return name === undefined ? fallback : `${key}=${name}`;
      });
    return lines.map(named).sort();
  }

  #hideSequence(frame: Buffer, h: Hidden): void {
    const l4 = transportOffset(frame, 14);
    if (l4 < 0 || frame[23] !== 6 || frame.length < l4 + 20 || (frame[l4 + 13]! & 0x12) !== 0x12) return;
    if (this.#knownSequences.has(frame.readUInt32BE(l4 + 4))) return;
    h.sequence = true;
    h.ranges.push([l4 + 4, 4], [l4 + 16, 2]);
  }
}

/** Where TCP or UDP begins in the IPv4 packet at `ip`; -1 when it is neither, a later fragment, or cut
 * short. */
function transportOffset(frame: Buffer, ip: number): number {
  if (frame.length < ip + 24 || frame[ip]! >> 4 !== 4) return -1;
  if (ip === 14 && frame.readUInt16BE(12) !== 0x0800) return -1;
  if (frame[ip + 9] !== 6 && frame[ip + 9] !== 17) return -1;
  if ((frame.readUInt16BE(ip + 6) & 0x1fff) !== 0) return -1;
  const l4 = ip + (frame[ip]! & 15) * 4;
  return frame.length < l4 + 4 ? -1 : l4;
}

/** Where the id of an ICMP echo message stands; -1 when the packet is none. */
function echoOffset(frame: Buffer, ip: number): number {
  if (frame.length < ip + 28 || frame.readUInt16BE(12) !== 0x0800 || frame[ip + 9] !== 1) return -1;
  if ((frame.readUInt16BE(ip + 6) & 0x1fff) !== 0) return -1;
  const l4 = ip + (frame[ip]! & 15) * 4;
  if (frame.length < l4 + 8 || (frame[l4] !== 8 && frame[l4] !== 0)) return -1;
  return l4 + 4;
}

/** Where the timestamp option of the IP header at `ip` holds times; none when there is no such header. */
function writtenTimes(frame: Buffer, ip: number): [number, number][] {
  if (frame.length < ip + 20 || frame[ip]! >> 4 !== 4) return [];
  const end = Math.min(ip + (frame[ip]! & 15) * 4, frame.length);
  for (
    let at = ip + 20;
    at < end && frame[at] !== 0;
    at += frame[at] === 1 ? 1 : Math.max(frame[at + 1]!, 2)
  ) {
    if (frame[at] !== IPOPT_TIMESTAMP) continue;
    const withAddress = (frame[at + 3]! & 15) !== 0;
    const times: [number, number][] = [];
    const written = Math.min(at + frame[at + 2]! - 1, at + frame[at + 1]!, end);
    for (let t = at + (withAddress ? 8 : 4); t + 4 <= written; t += withAddress ? 8 : 4) times.push([t, 4]);
    return times;
  }
  return [];
}
