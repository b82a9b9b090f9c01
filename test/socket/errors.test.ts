// ICMP errors and the sockets they are about: every type and code, connected or not, with IP_RECVERR or not,
// as Linux 6.18 reported them (kernel.txt: "type/code SO_ERROR errno,type,code,info,port of the error
// queue").

import test, { type ExecutionContext } from "ava";
import { Errno, errnoName } from "../../src/socket/errno.ts";
import { pingOpen, udpConnect, udpOpen } from "../../src/socket/open.ts";
import { pingSend } from "../../src/socket/ping.ts";
import { Received } from "../../src/socket/receive-queue.ts";
import { socketRead, takeError } from "../../src/socket/socket-error.ts";
import { PmtuDisc, SocketKind } from "../../src/socket/sockets.ts";
import { udpSend } from "../../src/socket/udp-send.ts";
import { icmpv4FillChecksum, writeIcmpv4 } from "../../src/wire/icmpv4.ts";
import { PROTO_ICMP, writeIpv4Header } from "../../src/wire/ipv4.ts";
import {
  addr,
  assertEmpty,
  bytesOf,
  drain,
  GOLDENS,
  HOST,
  type Host,
  makeHost,
  receive,
  WIRE,
} from "./host.ts";

const PEER = addr("10.9.0.1");
const { SCRIPT } = SocketKind;

/** An ICMP error from the wire that quotes a frame of ours. */
function errorAbout(frame: string, type: number, code: number, rest: number): Uint8Array {
  const quote = bytesOf(frame).slice(14);
  const out = new Uint8Array(14 + 28 + quote.length);
  const v = new DataView(out.buffer);
  out.set(bytesOf("0200000000020200000000010800"));
  writeIpv4Header(v, 14, 28 + quote.length, PROTO_ICMP, WIRE, HOST, 63, 0, 1, 0);
  writeIcmpv4(v, 34, type, code, rest);
  out.set(quote, 42);
  icmpv4FillChecksum(v, 34, out.length);
  return out;
}

function openPair(h: Host, ping: boolean, connected: boolean, recvErr: boolean): number {
  const options = { kind: SCRIPT, recvErr };
  const sock = ping ? pingOpen(h.s, h.ns, options) : udpOpen(h.s, h.ns, options);
  if (connected) udpConnect(h.s, sock, PEER, 5000, HOST);
  return sock;
}

function send(h: Host, sock: number, ping: boolean): string {
  const n = ping ? pingSend(h.s, sock, PEER, { seq: 1, data: 0 }) : udpSend(h.s, sock, PEER, 5000, 5);
  if (n <= 0) throw new Error(errnoName(n));
  return drain(h)[0]!;
}

/** The line kernel.txt has for this error. */
function observe(h: Host, sock: number, type: number, code: number, recvErr: boolean): string {
  let queue = "-";
  const q = h.s.queue[sock]!;
  const row = recvErr ? socketRead(h.s, sock) : -1;
  if (row >= 0) {
    const error = errnoName(q.errno[row]);
    queue = `${error},${q.icmp[row] >> 8},${q.icmp[row] & 255},${q.info[row]},port${q.port[row]}`;
  }
  const pending = takeError(h.s, sock);
  return `${type}/${code} ${pending === 0 ? "-" : errnoName(pending)} ${queue}`;
}

for (const g of GOLDENS) {
  const match = /^errors: (udp|ping)( connected)?( recverr)?$/.exec(g.name);
  if (match === null) continue;
  const ping = match[1] === "ping";
  const recvErr = match[3] !== undefined;
  test(`${g.name}: ${g.values.length} types and codes`, (t) => {
    const h = makeHost();
    const sock = openPair(h, ping, match[2] !== undefined, recvErr);
    const seen = g.values.map((line) => {
      const [type, code] = line.split(" ")[0]!.split("/").map(Number) as [number, number];
      const rest = restOf(type, code);
      const outcome = receive(h, errorAbout(send(h, sock, ping), type, code, rest));
      t.deepEqual(outcome.sent, []);
      return observe(h, sock, type, code, recvErr);
    });
    t.deepEqual(seen, g.values);
    assertEmpty(t, h);
  });
}

function restOf(type: number, code: number): number {
  if (type === 3 && code === 4) return 1400;
  if (type === 5) return addr("10.1.0.99");
  return type === 12 && code === 0 ? 0x14000000 : 0;
}

test("errors: a refused send, then the next sends", (t) => {
  const h = makeHost();
  const g = GOLDENS.find((x) => x.name === t.title)!;
  const sock = udpOpen(h.s, h.ns, { kind: SCRIPT });
  udpConnect(h.s, sock, WIRE, 5000, HOST);
  udpSend(h.s, sock, 0, 0, 3);
  receive(h, errorAbout(drain(h)[0]!, 3, 3, 0));
  t.is(g.values[0], "two ECONNREFUSED 0");
  t.is(udpSend(h.s, sock, 0, 0, 3), -Errno.ECONNREFUSED);
  t.is(drain(h).length, 0);
  t.true(g.values[1]!.startsWith("three sent"));
  t.true(udpSend(h.s, sock, 0, 0, 5) > 0);
  t.is(drain(h).length, 1);
  assertEmpty(t, h);
});

test("reading the error takes it away, as a failing recv() does", (t) => {
  const h = makeHost();
  const sock = openPair(h, false, true, false);
  receive(h, errorAbout(send(h, sock, false), 3, 3, 0));
  const row = socketRead(h.s, sock);
  const q = h.s.queue[sock]!;
  t.is(q.kind[row], Received.ERROR);
  t.is(q.errno[row], Errno.ECONNREFUSED);
  t.is(q.from[row], WIRE);
  t.is(q.to[row], PEER);
  t.deepEqual([...q.payload(row)], [0, 1, 2, 3, 4]);
  t.is(takeError(h.s, sock), 0);
  assertEmpty(t, h);
});

test("IP_MTU_DISCOVER DONT does not hear of 3/4", (t) => {
  const h = makeHost();
  const sock = udpOpen(h.s, h.ns, { kind: SCRIPT, pmtuDisc: PmtuDisc.DONT, recvErr: true });
  receive(h, errorAbout(send(h, sock, false), 3, 4, 1400));
  t.is(h.s.queue[sock]!.size, 0);
  receive(h, errorAbout(send(h, sock, false), 3, 3, 0));
  t.is(h.s.queue[sock]!.size, 1);
  assertEmpty(t, h);
});

test("an error about nobody's packet, or quoting too little, is dropped by name", (t) => {
  const h = makeHost();
  const sock = openPair(h, false, false, true);
  const frame = send(h, sock, false);
  ends(t, h, errorAbout(frame.slice(0, 2 * (14 + 27)), 3, 3, 0), "ICMP_QUOTE");
  ends(t, h, errorAbout(frame.slice(0, 2 * (14 + 28)), 3, 3, 0), "consumed");
  ends(t, h, errorAbout(frame.slice(0, 2 * (14 + 19)), 3, 3, 0), "ICMP_QUOTE");
  h.s.remove(sock);
  ends(t, h, errorAbout(frame, 3, 3, 0), "NO_SOCKET");
  ends(t, h, errorAbout(frame.replace(/^(.{46})11/, "$106"), 3, 3, 0), "NO_SOCKET");
  ends(t, h, errorAbout(frame, 3, 16, 0), "ICMP_IGNORED");
  ends(t, h, errorAbout(frame, 11, 1, 0), "ICMP_IGNORED");
  assertEmpty(t, h);
});

function ends(t: ExecutionContext, h: Host, frame: Uint8Array, end: string): void {
  t.is(receive(h, frame).end, end);
}

test("a full receive queue loses errors too", (t) => {
  const h = makeHost();
  const sock = udpOpen(h.s, h.ns, { kind: SCRIPT, recvErr: true, rcvbuf: 832 * 2 });
  const error = errorAbout(send(h, sock, false), 3, 3, 0);
  for (let i = 0; i < 3; i++) receive(h, error);
  t.is(h.s.queue[sock]!.size, 1);
  t.is(h.s.rxDropped[sock], 2);
  assertEmpty(t, h);
});
