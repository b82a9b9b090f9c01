// kube-proxy.md 5.1, UDP rows, and echo servers, as Linux 6.18 answered (kernel.txt). The ICMP errors
// themselves are ip's: here it is which error is asked for, about which bytes.

import test from "ava";
import { NoteKind } from "../../src/node/notes.ts";
import { SkbFlag } from "../../src/node/sk-buff.ts";
import { Stage } from "../../src/node/stage.ts";
import { udpConnect, udpOpen } from "../../src/socket/open.ts";
import { Received } from "../../src/socket/receive-queue.ts";
import { socketRead } from "../../src/socket/socket-error.ts";
import { SocketKind } from "../../src/socket/sockets.ts";
import { udpRcv } from "../../src/socket/udp.ts";
import {
  addr,
  arriving,
  assertEmpty,
  BROADCAST,
  bytesOf,
  deliver,
  GOLDENS,
  golden,
  HOST,
  hexOf,
  makeHost,
  receive,
  WIRE,
  withoutId,
} from "./host.ts";

const { ECHO, SINK, SCRIPT } = SocketKind;

const endings: readonly (readonly [string, string])[] = [
  ["UDP to a closed port", "icmp 3/3 NO_SOCKET"],
  ["UDP to a closed port, checksum 0", "icmp 3/3 NO_SOCKET"],
  ["UDP to a closed port, bad checksum", "UDP_CSUM"],
  ["UDP length over the datagram", "UDP_LEN"],
  ["UDP length under 8", "UDP_LEN"],
  ["UDP of 7 bytes", "UDP_TOO_SHORT"],
  ["UDP length under the IP payload", "icmp 3/3 NO_SOCKET"],
  ["UDP to a closed port in a broadcast frame", "icmp 3/3 NO_SOCKET, not sent"],
  ["UDP to a closed port at the broadcast address", "IP_MULTICAST_UNWANTED"],
  ["UDP to a closed port at 255.255.255.255", "IP_MULTICAST_UNWANTED"],
  ["unknown protocol 99", "icmp 3/2 IP_NOPROTO"],
  ["unknown protocol 99 at the broadcast address", "icmp 3/2 IP_NOPROTO, not sent"],
];
for (const [name, end] of endings) {
  test(`${name}: ${end}`, (t) => {
    const h = makeHost();
    const g = golden(`udp: ${name}`);
    const f = arriving(h, bytesOf(g.input));
    const l3 = h.k.skb.l3[f];
    const outcome = deliver(h, f);
    t.is(outcome.end, end);
    const asked = /^icmp (\d)\/(\d)[^,]*$/.exec(end);
    t.is(g.output.length, asked === null ? 0 : 1, "what Linux did");
    if (asked !== null) {
      const reply = g.output[0]!;
      t.is(reply.slice(68, 72), `0${asked[1]}0${asked[2]}`);
      // Linux quotes what is left of the datagram after UDP has cut it to its length.
      const { skb } = h.k;
      t.is(reply.slice(84), hexOf(skb.bytes.slice(l3, l3 + (reply.length - 84) / 2)));
    }
    assertEmpty(t, h);
  });
}

test("the quoted datagram ends where its UDP length says", (t) => {
  const h = makeHost();
  const f = arriving(h, bytesOf(golden("udp: UDP length under the IP payload").input));
  t.is(h.k.skb.len[f], 33);
  t.is(udpRcv(h.s, f), Stage.ICMP_SEND);
  t.is(h.k.skb.len[f], 30);
  t.is(golden("udp: UDP length under the IP payload").output[0]!.length / 2, 14 + 28 + 30);
  h.k.consume(f);
  assertEmpty(t, h);
});

for (const g of GOLDENS) {
  if (!g.name.startsWith("echo server: ")) continue;
  test(g.name, (t) => {
    const h = makeHost();
    const sock = udpOpen(h.s, h.ns, { kind: ECHO, port: 7 });
    const { sent } = receive(h, bytesOf(g.input));
    t.deepEqual(sent.map(withoutId), g.output.map(withoutId));
    t.is(h.s.rxPackets[sock], g.name.includes("bad checksum") ? 0 : 1);
    t.is(h.s.txPackets[sock], g.output.length);
    assertEmpty(t, h);
  });
}

test("an echo server answers from the address that was asked, whatever the host has", (t) => {
  const h = makeHost();
  udpOpen(h.s, h.ns, { kind: ECHO, port: 7 });
  const f = arriving(h, bytesOf(golden("echo server: datagram with checksum 0 and tos 0xb8").input));
  h.k.skb.view.setInt32(h.k.skb.l3[f] + 16, addr("10.1.0.77"));
  const [reply] = deliver(h, f).sent;
  t.is(reply!.slice(52, 60), "0a01004d");
  assertEmpty(t, h);
});

test("the echo is a packet of its own, noted on the one it answers", (t) => {
  const h = makeHost();
  const sock = udpOpen(h.s, h.ns, { kind: ECHO, port: 7 });
  h.k.observing = true;
  const f = arriving(h, bytesOf(golden("echo server: datagram").input));
  const packet = h.k.skb.packet[f];
  deliver(h, f);
  const { notes } = h.k;
  t.is(notes.count, 2);
  t.deepEqual([...notes.kind.slice(0, 2)], [NoteKind.REPLY, NoteKind.DELIVER]);
  t.deepEqual([...notes.packet.slice(0, 2)], [packet, packet]);
  t.is(notes.b[0], packet + 1);
  t.is(notes.a[1], sock);
  assertEmpty(t, h);
});

function datagram(data: string): Uint8Array {
  const f = bytesOf(golden("echo server: datagram with checksum 0 and tos 0xb8").input);
  f.set(Buffer.from(data), 42);
  return f;
}

test("a script's socket keeps from, port, length, time and packet number", (t) => {
  const h = makeHost();
  const sock = udpOpen(h.s, h.ns, { kind: SCRIPT, port: 7 });
  h.k.clock.at(5_000, 0, 0, 0);
  h.k.clock.take();
  const f = arriving(h, datagram("salut"));
  const packet = h.k.skb.packet[f];
  t.is(deliver(h, f).end, "consumed");
  t.is(h.s.arrivals, 1);
  const q = h.s.queue[sock]!;
  const row = socketRead(h.s, sock);
  t.is(q.kind[row], Received.DATA);
  t.is(q.from[row], WIRE);
  t.is(q.port[row], 40000);
  t.is(q.to[row], HOST);
  t.is(q.time[row], 5_000);
  t.is(q.packet[row], packet);
  t.is(q.tos[row], 0xb8);
  t.is(q.ttl[row], 63);
  t.is(Buffer.from(q.payload(row)).toString(), "salut");
  t.is(socketRead(h.s, sock), -1);
  assertEmpty(t, h);
});

test("a broadcast datagram reaches every socket of the port that may have it", (t) => {
  const h = makeHost();
  const any = udpOpen(h.s, h.ns, { kind: SCRIPT, port: 7 });
  const other = udpOpen(h.s, h.ns, { kind: SCRIPT, port: 8 });
  t.is(receive(h, bytesOf(golden("echo server: datagram to the broadcast address").input)).end, "consumed");
  t.deepEqual([h.s.rxPackets[any], h.s.rxPackets[other]], [1, 0]);
  h.s.remove(any);
  const bound = udpOpen(h.s, h.ns, { kind: SCRIPT, port: 7, addr: BROADCAST });
  const host = udpOpen(h.s, h.ns, { kind: SCRIPT, port: 7, addr: HOST });
  receive(h, bytesOf(golden("echo server: datagram to the broadcast address").input));
  t.deepEqual([h.s.rxPackets[bound], h.s.rxPackets[host]], [1, 0]);
  receive(h, bytesOf(golden("echo server: datagram").input));
  t.deepEqual([h.s.rxPackets[bound], h.s.rxPackets[host]], [1, 1]);
  assertEmpty(t, h);
});

test("a connected socket hears its peer only; without another socket the rest is refused", (t) => {
  const h = makeHost();
  const sock = udpOpen(h.s, h.ns, { kind: SCRIPT, port: 7 });
  t.is(udpConnect(h.s, sock, WIRE, 40000, HOST), 0);
  t.is(receive(h, datagram("hello")).end, "consumed");
  const stranger = datagram("hello");
  stranger[35]! ^= 1;
  t.is(receive(h, stranger).end, "icmp 3/3 NO_SOCKET");
  t.is(h.s.rxPackets[sock], 1);
  assertEmpty(t, h);
});

test("a checksum that conntrack has verified is not verified again", (t) => {
  const h = makeHost();
  const sock = udpOpen(h.s, h.ns, { kind: SINK, port: 7 });
  const f = arriving(h, bytesOf(golden("echo server: datagram with bad checksum").input));
  h.k.skb.flags[f] |= SkbFlag.CSUM_OK;
  t.is(deliver(h, f).end, "consumed");
  t.is(h.s.received(sock), 1);
  assertEmpty(t, h);
});
