// A peer's data as a bad link brings it: lost and sent again, early, late, twice. What vnetem answers is
// written down as a timeline, which the kernel then has to play the same way: acknowledgments, SACK and
// D-SACK blocks, and when each comes.

import { Random } from "../../../../src/core/random.ts";
import { Direction } from "../../../../src/node/capture.ts";
import { injectFrame } from "../../../../src/socket/packet.ts";
import { SocketKind } from "../../../../src/socket/sockets.ts";
import { tcpAccept, tcpListen } from "../../../../src/socket/tcp/calls.ts";
import { segmentOf } from "../segment.ts";
import {
  Host,
  linesOf,
  PORT,
  parseSegment,
  segmentFrame,
  shownAs,
  type Timeline,
  timeOf,
} from "../timeline.ts";

/** Segments of the peer, and the time between two that arrive: more than compressed SACKs wait for. */
const SEGMENTS = 12;
const GAP = 0.02;
const HANDSHAKE = [
  "0.0 listen",
  "0.0 < S 0:0(0) win 65535 <mss 1000,sackOK>",
  "0.1 < . 1:1(0) ack 1",
  "0.1 accept",
];

export function randomTimeline(seed: number): Timeline {
  const lines = [...HANDSHAKE];
  let at = 0.2;
  for (const [seq, length] of arrivals(new Random(seed, "arrivals"))) {
    lines.push(`${at.toFixed(3)} < . ${seq}:${seq + length}(${length}) ack 1`);
    at += GAP;
  }
  // The last ACK may be delayed.
  lines.push(`${(at + 0.3).toFixed(3)} quiet`);
  return { title: `arrivals ${seed}`, script: withAnswers(lines).join("\n") };
}

/** Sequence number and length of what arrives, in order of arrival. */
function arrivals(r: Random): [number, number][] {
  const due: { seq: number; length: number; place: number }[] = [];
  for (let i = 0, seq = 1; i < SEGMENTS; i++) {
    const length = r.below(4) === 0 ? 1 + r.below(999) : 1000;
    // Lost: sent again behind the others. Late: up to four places behind its own.
    const lost = r.below(6) === 0;
    const late = r.below(3) === 0 ? r.below(5) : 0;
    due.push({ seq, length, place: lost ? SEGMENTS + i : i + late });
    if (r.below(8) === 0) due.push({ seq, length, place: i + r.below(SEGMENTS) });
    seq += length;
  }
  due.sort((a, b) => a.place - b.place || a.seq - b.seq);
  return due.map(({ seq, length }) => [seq, length]);
}

/** Plays the lines on vnetem and puts what it sends where it sends it. */
function withAnswers(lines: readonly string[]): string[] {
  const host = new Host();
  const { walk, k, ns, eth0 } = host;
  const isns = new Map<number, number>();
  const out: string[] = [];
  let listener = -1;
  let now = 0;
  const answers = (): void => {
    for (; host.seen < k.capture.count; host.seen++) {
      if (k.capture.direction[host.seen] !== Direction.OUT) continue;
      const start = k.capture.start[host.seen]!;
      const bytes = k.capture.bytes.slice(start, start + k.capture.len[host.seen]!);
      const got = segmentOf(bytes, k.capture.time[host.seen]!);
      if (got === null) continue;
      if (got.flags & 2) isns.set(got.destinationPort, got.seq);
      const want = { ...parseSegment(". 0:0(0)"), options: "" };
      const seq = (got.seq - (isns.get(got.destinationPort) ?? 0)) | 0;
      out.push(`${(got.time / 1e9).toFixed(6)} > ${shownAs(got, want, seq)}`);
    }
  };
  for (const line of linesOf(lines.join("\n"))) {
    const { at, rest } = timeOf(line, now);
    now = at;
    walk.run(at);
    answers();
    out.push(line);
    if (rest === "listen")
      listener = tcpListen(walk.sock.tcp, ns, 16, { kind: SocketKind.SCRIPT, port: PORT });
    else if (rest === "accept") tcpAccept(walk.sock.tcp, listener);
    else if (rest.startsWith("<")) injectFrame(k, eth0, segmentFrame(rest.slice(1).trim(), isns, PORT));
    walk.run(at);
    answers();
  }
  return out;
}
