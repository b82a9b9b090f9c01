// Socket calls: what they answer, what the packets look like, how much a receive buffer holds, as Linux 6.18
// did (kernel.txt).

import test from "ava";
import type { Kernel } from "../../src/node/kernel.ts";
import { DevKind } from "../../src/node/net-device.ts";
import { Stage } from "../../src/node/stage.ts";
import { addrType, Rtn } from "../../src/socket/addr-type.ts";
import { errnoName } from "../../src/socket/errno.ts";
import {
  closeNamespace,
  EPHEMERAL_FIRST,
  EPHEMERAL_LAST,
  pingOpen,
  socketClose,
  udpConnect,
  udpOpen,
} from "../../src/socket/open.ts";
import { injectFrame, transmitFrame } from "../../src/socket/packet.ts";
import { pingSend } from "../../src/socket/ping.ts";
import { ReceiveQueue, RMEM_DEFAULT, truesize } from "../../src/socket/receive-queue.ts";
import { socketRead } from "../../src/socket/socket-error.ts";
import { PmtuDisc, SocketKind } from "../../src/socket/sockets.ts";
import { sourceClose, sourceEvent, sourceOpen, sourceStart } from "../../src/socket/source.ts";
import { udpSend } from "../../src/socket/udp-send.ts";
import { icmpv4FillChecksum, writeIcmpEcho } from "../../src/wire/icmpv4.ts";
import { PROTO_ICMP, PROTO_UDP, writeIpv4Header } from "../../src/wire/ipv4.ts";
import { writeUdpHeader } from "../../src/wire/udp.ts";
import {
  addr,
  arriving,
  assertEmpty,
  BROADCAST,
  bytesOf,
  deliver,
  drain,
  golden,
  HOST,
  type Host,
  hexOf,
  makeHost,
  receive,
  WIRE,
  withoutId,
} from "./host.ts";

const { SCRIPT, SINK } = SocketKind;
const script = (h: Host, more = {}): number => udpOpen(h.s, h.ns, { kind: SCRIPT, ...more });
const ping = (h: Host, more = {}): number => pingOpen(h.s, h.ns, { kind: SCRIPT, ...more });

const vlanFrame = (n: number): Uint8Array => padded("0200000000010200000000028100000a0800", n);
const plainFrame = (n: number): Uint8Array => padded("0200000000010200000000020800", n);
function padded(hex: string, n: number): Uint8Array {
  const out = new Uint8Array(n);
  out.set(bytesOf(hex).slice(0, n));
  return out;
}

const calls: Record<string, (h: Host) => number> = {
  "send unconnected": (h) => udpSend(h.s, script(h), 0, 0, 1),
  "sendto port 0": (h) => udpSend(h.s, script(h), WIRE, 0, 1),
  "sendto 255.255.255.255": (h) => udpSend(h.s, script(h), -1, 9, 1),
  "sendto 10.1.0.255": (h) => udpSend(h.s, script(h), BROADCAST, 9, 1),
  "sendto 65507 bytes": (h) => udpSend(h.s, script(h), WIRE, 9, 65507),
  "sendto 65508 bytes": (h) => udpSend(h.s, script(h), WIRE, 9, 65508),
  "sendto 65536 bytes": (h) => udpSend(h.s, script(h), WIRE, 9, 65536),
  "connect 255.255.255.255": (h) => udpConnect(h.s, script(h), -1, 9, 0),
  "bind 10.1.0.9": (h) => script(h, { addr: addr("10.1.0.9"), port: 1000 }),
  "bind 10.1.0.255": (h) => script(h, { addr: BROADCAST, port: 1000 }),
  "bind 224.0.0.1": (h) => script(h, { addr: addr("224.0.0.1"), port: 1000 }),
  "bind 127.9.9.9": (h) => script(h, { addr: addr("127.9.9.9"), port: 1000 }),
  "IP_PMTUDISC_DO 1472 bytes": (h) =>
    udpSend(h.s, script(h, { pmtuDisc: PmtuDisc.DO }), WIRE, 9, 1472, { mtu: 1500 }),
  "IP_PMTUDISC_DO 1473 bytes": (h) =>
    udpSend(h.s, script(h, { pmtuDisc: PmtuDisc.DO }), WIRE, 9, 1473, { mtu: 1500 }),
  "ping bind 10.1.0.2 id 77 twice": (h) => {
    ping(h, { port: 77 });
    return ping(h, { port: 77, addr: HOST });
  },
  "ping bind 10.1.0.255": (h) => ping(h, { addr: BROADCAST }),
  "ping to 10.1.0.255": (h) => pingSend(h.s, ping(h), BROADCAST, { seq: 1 }),
  "ping 65507 data": (h) => pingSend(h.s, ping(h), WIRE, { seq: 1, data: 65507 }),
  "ping 65508 data": (h) => pingSend(h.s, ping(h), WIRE, { seq: 1, data: 65508 }),
  "AF_PACKET 13 bytes": (h) => transmitFrame(h.k, h.eth0, new Uint8Array(13)),
  "AF_PACKET 14 bytes": (h) => transmitFrame(h.k, h.eth0, plainFrame(14)),
  "AF_PACKET 1514 bytes": (h) => transmitFrame(h.k, h.eth0, plainFrame(1514)),
  "AF_PACKET 1515 bytes": (h) => transmitFrame(h.k, h.eth0, plainFrame(1515)),
  "AF_PACKET 1518 bytes tagged": (h) => transmitFrame(h.k, h.eth0, vlanFrame(1518)),
  "AF_PACKET 1519 bytes tagged": (h) => transmitFrame(h.k, h.eth0, vlanFrame(1519)),
  "AF_PACKET 70000 bytes": (h) => transmitFrame(h.k, h.eth0, new Uint8Array(70000)),
  "AF_PACKET down 60 bytes": (h) => transmitDown(h, 60),
  "AF_PACKET down 13 bytes": (h) => transmitDown(h, 13),
};

function transmitDown(h: Host, length: number): number {
  return transmitFrame(h.k, h.k.addDevice(h.ns, DevKind.VETH, "d0"), new Uint8Array(length));
}

function release(k: Kernel): void {
  while (k.backlog.size > 0) k.consume(k.backlog.shift());
}

for (const line of golden("calls").values) {
  const [name, answer] = line.split(" -> ") as [string, string];
  test(`calls: ${line}`, (t) => {
    const h = makeHost();
    const bind = /^bind (\S+) then (\S+)$/.exec(name);
    let result: number;
    if (bind === null) result = calls[name]!(h);
    else {
      t.true(script(h, { addr: addr(bind[1]!), port: 1000 }) >= 0);
      result = script(h, { addr: addr(bind[2]!), port: 1000 });
    }
    t.is(result >= 0 ? "ok" : errnoName(result), answer);
    release(h.k);
    assertEmpty(t, h);
  });
}

test("send: packets look as those of Linux", (t) => {
  const h = makeHost();
  const hello = Buffer.from("hello");
  const sock = script(h, { port: 5353 });
  const same = (name: string): void => {
    t.deepEqual(drain(h).map(withoutId), golden(`send: ${name}`).output.map(withoutId), name);
  };
  udpSend(h.s, sock, WIRE, 53, hello);
  same("udp hello");
  udpSend(h.s, sock, WIRE, 53, hello, { tos: 0xb8, ttl: 5 });
  same("udp tos 0xb8 ttl 5");
  socketClose(h.s, sock);
  const bare = script(h, { port: 5353, tos: 0xb8, ttl: 5, noCheck: true });
  udpSend(h.s, bare, WIRE, 53, hello);
  same("udp no checksum");
  socketClose(h.s, bare);
  const fragmenting = { port: 5353, tos: 0xb8, ttl: 5, noCheck: true, pmtuDisc: PmtuDisc.DONT };
  udpSend(h.s, script(h, fragmenting), WIRE, 53, hello);
  same("udp IP_PMTUDISC_DONT");
  pingSend(h.s, ping(h, { port: 0x4d2 }), WIRE, { seq: 3 });
  same("ping");
  assertEmpty(t, h);
});

test("send: 0.0.0.0 is this host, a broadcast binding gives no source address, SO_BROADCAST may", (t) => {
  const h = makeHost();
  const sent = (): string => drain(h)[0]!.slice(52, 68);
  udpSend(h.s, script(h), 0, 9, 1);
  t.is(sent(), "0a0100027f000001");
  udpSend(h.s, script(h, { addr: HOST }), 0, 9, 1);
  t.is(sent(), "0a0100020a010002");
  udpSend(h.s, script(h, { addr: BROADCAST, port: 67, broadcast: true }), -1, 9, 1);
  t.is(sent(), "0a010002ffffffff");
  h.k.setNsSysctl(h.ns, "net.ipv4.ip_no_pmtu_disc", 1);
  t.is(h.s.pmtuDisc[script(h)], PmtuDisc.DONT);
  assertEmpty(t, h);
});

test("send: a TTL of 0 or above 255 is EINVAL", (t) => {
  const h = makeHost();
  for (const ttl of [0, 256, -1]) {
    t.is(errnoName(udpSend(h.s, script(h), WIRE, 9, 1, { ttl })), "EINVAL");
    t.is(errnoName(pingSend(h.s, ping(h), WIRE, { seq: 1, ttl })), "EINVAL");
  }
  for (const ttl of [1, 255]) t.true(udpSend(h.s, script(h), WIRE, 9, 1, { ttl }) > 0);
  t.deepEqual(
    drain(h).map((f) => f.slice(44, 46)),
    ["01", "ff"],
  );
  assertEmpty(t, h);
});

test("send: without a free slot, ENOBUFS", (t) => {
  const h = makeHost(0);
  t.is(errnoName(udpSend(h.s, script(h), WIRE, 9, 1)), "ENOBUFS");
  t.is(errnoName(pingSend(h.s, ping(h), WIRE, { seq: 1 })), "ENOBUFS");
  t.is(errnoName(injectFrame(h.k, h.eth0, plainFrame(60))), "ENOBUFS");
  t.is(errnoName(sourceOpen(h.s, h.ns, sourceOptions)), "ENOBUFS");
  assertEmpty(t, h);
});

const sourceOptions = { proto: PROTO_UDP, dst: WIRE, port: 9, flows: 1, firstPort: 40000, frameBytes: 64 };

for (const line of golden("receive buffer: datagrams of n payload bytes that fit").values) {
  const [bytes, fit] = line.split(" ").map(Number) as [number, number];
  test(`receive buffer: ${fit} datagrams of ${bytes} bytes fit`, (t) => {
    const h = makeHost();
    const sock = script(h, { port: 1000 });
    const frame = udpFrame(bytes);
    for (let i = 0; i < fit + 2; i++) {
      const f = arriving(h, frame);
      if (frame.length > 1514) h.k.skb.fragMax[f] = 1500;
      t.is(deliver(h, f).end, i < fit ? "consumed" : "SOCKET_RCVBUFF");
    }
    t.is(h.s.rxDropped[sock], 2);
    t.is(h.s.rxPackets[sock], fit);
    socketRead(h.s, sock);
    const f = arriving(h, frame);
    if (frame.length > 1514) h.k.skb.fragMax[f] = 1500;
    t.is(deliver(h, f).end, "consumed", "what was read makes room");
    assertEmpty(t, h);
  });
}

function udpFrame(bytes: number): Uint8Array {
  const out = new Uint8Array(42 + bytes);
  const v = new DataView(out.buffer);
  out.set(bytesOf("0200000000020200000000010800"));
  writeIpv4Header(v, 14, 28 + bytes, PROTO_UDP, WIRE, HOST, 64, 0, 1, 0);
  writeUdpHeader(v, 34, 40000, 1000, 8 + bytes);
  return out;
}

function echoReply(id: number, bytes: number): Uint8Array {
  const out = new Uint8Array(42 + bytes);
  const v = new DataView(out.buffer);
  out.set(bytesOf("0200000000020200000000010800"));
  writeIpv4Header(v, 14, 28 + bytes, PROTO_ICMP, WIRE, HOST, 64, 0, 1, 0);
  writeIcmpEcho(v, 34, 0, id, 1);
  icmpv4FillChecksum(v, 34, out.length);
  return out;
}

for (const line of golden("ping: replies of n bytes that fit the receive buffer").values) {
  const [bytes, fit] = line.split(" ").map(Number) as [number, number];
  test(`ping: ${fit} replies of ${bytes} bytes fit the receive buffer`, (t) => {
    const h = makeHost();
    ping(h, { port: 77 });
    for (let i = 0; i < fit + 2; i++) {
      t.is(receive(h, echoReply(77, bytes)).end, i < fit ? "consumed" : "SOCKET_RCVBUFF");
    }
    assertEmpty(t, h);
  });
}

for (const line of golden("ping: two sockets of one id").values) {
  const match = /^(\S+) then (\S+) -> \['(\w+)', '(\w+)'\]$/.exec(line)!;
  test(`ping: ${line}`, (t) => {
    const h = makeHost();
    const socks = [match[1]!, match[2]!].map((a) =>
      ping(h, { port: 77, addr: a === "0.0.0.0" ? 0 : addr(a) }),
    );
    receive(h, echoReply(77, 1));
    t.deepEqual(
      socks.map((sock) => (socketRead(h.s, sock) >= 0 ? "ok" : "nothing")),
      [match[3]!, match[4]!],
    );
    assertEmpty(t, h);
  });
}

test("ping: the reply is kept whole, with its sender; a reply to another address or id is nobody's", (t) => {
  const h = makeHost();
  const sock = ping(h, { port: 77, addr: HOST });
  t.is(receive(h, echoReply(78, 1)).end, "NO_SOCKET");
  t.is(receive(h, echoReply(77, 2)).end, "consumed");
  const row = socketRead(h.s, sock);
  const q = h.s.queue[sock]!;
  t.is(hexOf(q.payload(row)), "0000ffb1004d00010000");
  t.is(q.from[row], WIRE);
  const f = arriving(h, echoReply(77, 1));
  h.k.skb.view.setInt32(h.k.skb.l3[f] + 16, addr("10.1.0.3"));
  t.is(deliver(h, f).end, "NO_SOCKET");
  assertEmpty(t, h);
});

test("ping: ids are given one after the other, and start again after 65535", (t) => {
  const h = makeHost();
  const other = h.k.addNamespace("b", -1);
  const id = (ns: number): number => {
    const row = pingOpen(h.s, ns, { kind: SCRIPT });
    return h.s.localPort[row]!;
  };
  t.deepEqual([id(h.ns), id(other), id(h.ns)], [1, 2, 3]);
  h.s.pingRover = 65534;
  t.deepEqual(
    [id(h.ns), id(h.ns), id(other)],
    [65535, 2, 3],
    "1 is taken here, and 2 and 3 were given since",
  );
});

test("ephemeral ports: in range, never twice, the same for one seed, EAGAIN when all are taken", (t) => {
  const a = makeHost();
  const b = makeHost();
  const count = EPHEMERAL_LAST - EPHEMERAL_FIRST + 1;
  const ports = new Set<number>();
  for (let i = 0; i < count; i++) {
    const row = script(a, { kind: SINK });
    const port = a.s.localPort[row]!;
    const twin = i < 100 ? script(b) : -1;
    if (twin >= 0) t.is(b.s.localPort[twin], port);
    ports.add(port);
  }
  t.is(ports.size, count);
  t.true(Math.min(...ports) === EPHEMERAL_FIRST && Math.max(...ports) === EPHEMERAL_LAST);
  t.is(errnoName(script(a)), "EAGAIN");
  t.true(udpOpen(a.s, a.k.addNamespace("other", -1), { kind: SINK }) >= 0, "another namespace has its own");
  t.true(Math.abs([...ports][1]! - [...ports][0]!) > 1, "and they are no sequence");
});

test("the source of a traffic source owns its ports", (t) => {
  const h = makeHost();
  const row = sourceOpen(h.s, h.ns, { ...sourceOptions, flows: 3 });
  t.true(row >= 0);
  t.is(errnoName(script(h, { port: 40002 })), "EADDRINUSE");
  t.true(script(h, { port: 40003 }) >= 0);
  t.is(errnoName(sourceOpen(h.s, h.ns, { ...sourceOptions, firstPort: 40001, flows: 3 })), "EADDRINUSE");
  t.is(errnoName(sourceOpen(h.s, h.ns, { ...sourceOptions, firstPort: 40003 })), "EADDRINUSE");
  for (const wrong of [
    { flows: 0 },
    { frameBytes: 57 },
    { port: 0 },
    { firstPort: 65535, flows: 2 },
    { proto: 6 },
  ]) {
    t.is(errnoName(sourceOpen(h.s, h.ns, { ...sourceOptions, ...wrong })), "EINVAL");
  }
  t.is(errnoName(sourceOpen(h.s, h.ns, { ...sourceOptions, frameBytes: 65554 })), "EMSGSIZE");
  assertEmpty(t, h);
});

test("a namespace that goes away takes its sockets with it, and its sources fall silent", (t) => {
  const h = makeHost();
  const other = h.k.addNamespace("b", -1);
  for (let i = 0; i < 300; i++) script(h, { port: 1 + i });
  const kept = udpOpen(h.s, other, { kind: SCRIPT, port: 7 });
  const source = sourceOpen(h.s, h.ns, sourceOptions);
  sourceStart(h.s, source, 1000, 1, 0);
  ping(h);
  closeNamespace(h.s, h.ns);
  t.is(h.s.ids.live, 1);
  t.is(h.s.sources.ofPort(PROTO_UDP, h.ns, sourceOptions.firstPort), -1);
  sourceEvent(h.s, source, h.s.sources.generation[source]!);
  t.is(h.s.sources.sent[source], 0);
  sourceClose(h.s, source);
  t.is(h.s.sources.ids.live, 0);
  t.is(h.s.sinks.ids.live, 0);
  t.is(h.s.byAddress.count, 1);
  t.is(h.s.bound(PROTO_UDP, other, 0, 7), kept);
  closeNamespace(h.s, h.ns);
  closeNamespace(h.s, 500);
  t.true(script(h, { port: 5 }) >= 0);
  assertEmpty(t, h);
});

test("sockets closed in any order leave the others of their namespace in place", (t) => {
  const h = makeHost();
  const socks = [1, 2, 3, 4, 5].map((port) => script(h, { port }));
  for (const i of [0, 4, 2]) socketClose(h.s, socks[i]!);
  const left: number[] = [];
  for (let r = h.s.ofNs.firstOf(h.ns); r >= 0; r = h.s.ofNs.next[r]!) left.push(r);
  t.deepEqual(left, [socks[3]!, socks[1]!]);
  socketClose(h.s, socks[1]!);
  closeNamespace(h.s, h.ns);
  t.is(h.s.ids.live, 0);
});

test("an empty receive queue takes a datagram however long", (t) => {
  const h = makeHost();
  script(h, { port: 1000, rcvbuf: 1 });
  t.is(receive(h, udpFrame(1400)).end, "consumed");
  t.is(receive(h, udpFrame(1)).end, "SOCKET_RCVBUFF");
  assertEmpty(t, h);
});

test("a socket closed twice is our own mistake", (t) => {
  const h = makeHost();
  const sock = script(h);
  socketClose(h.s, sock);
  t.throws(() => socketClose(h.s, sock), { message: /closing a socket twice/ });
});

test("address types", (t) => {
  const h = makeHost();
  const type = (text: string): Rtn => addrType(h.k, h.ns, addr(text));
  h.k.addAddress(h.eth0, addr("10.7.0.0"), 31, 0);
  t.is(type("10.1.0.2"), Rtn.LOCAL);
  t.is(type("127.1.2.3"), Rtn.LOCAL);
  t.is(type("10.1.0.3"), Rtn.UNICAST);
  t.is(type("10.1.0.0"), Rtn.UNICAST);
  t.is(type("10.7.0.1"), Rtn.UNICAST, "a /31 has no broadcast address");
  t.is(type("10.1.0.255"), Rtn.BROADCAST);
  t.is(type("255.255.255.255"), Rtn.BROADCAST);
  t.is(type("239.1.1.1"), Rtn.MULTICAST);
});

test("raw frames: headers where they belong, the stage they enter, devices that are not there", (t) => {
  const h = makeHost();
  const { k } = h;
  t.is(errnoName(injectFrame(k, -1, plainFrame(60))), "ENXIO");
  t.is(errnoName(transmitFrame(k, 99, plainFrame(60))), "ENXIO");
  t.is(errnoName(injectFrame(k, h.eth0, plainFrame(13))), "EINVAL");
  t.is(injectFrame(k, h.eth0, plainFrame(60)), 0);
  t.is(transmitFrame(k, h.eth0, plainFrame(60)), 0);
  k.setUp(h.eth0, false);
  t.is(injectFrame(k, h.eth0, plainFrame(60)), 0, "the receive path drops it, and counts it");
  for (const stage of [Stage.NETIF_RECEIVE, Stage.DEV_QUEUE_XMIT, Stage.NETIF_RECEIVE]) {
    const f = k.backlog.shift();
    t.is(k.backlog.second, stage);
    t.is(k.skb.mac[f], k.skb.off[f]);
    t.is(k.skb.l3[f], k.skb.off[f] + 14);
    t.is(k.skb.protocol[f], 0x0800);
    t.is(k.skb.dev[f], h.eth0);
    t.is(k.skb.ns[f], h.ns);
    k.consume(f);
  }
  assertEmpty(t, h);
});

test("receive queue: first in, first out, through every wrap of its rings", (t) => {
  const q = new ReceiveQueue();
  const model: number[][] = [];
  const bytes = Uint8Array.from({ length: 4096 }, (_, i) => i * 31);
  let x = 12345;
  for (let i = 0; i < 20_000; i++) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0;
    if ((x >>> 16) % 100 < 52) {
      const len = (x >>> 8) % 300;
      const start = (x >>> 3) % 3000;
      const row = q.append(1, 10, 5_000, bytes, start, len);
      t.is(row < 0, model.length * 10 + 10 > 5_000);
      if (row >= 0) {
        q.from[row] = i;
        model.push([i, start, len]);
      }
    } else {
      const row = q.take();
      const [from, start, len] = model.shift() ?? [-1, 0, 0];
      if (from === -1) t.is(row, -1);
      else if (q.from[row] !== from || hexOf(q.payload(row)) !== hexOf(bytes.slice(start, start! + len!))) {
        t.fail(`entry ${i}`);
      }
    }
    if (q.size !== model.length || q.charged !== model.length * 10) t.fail(`size at ${i}`);
  }
});

test("the charge of a packet never falls as it grows, and a fragment counts as its own", (t) => {
  let last = 0;
  for (let len = 20; len <= 65535; len++) {
    const now = truesize(len, 0);
    if (now < last || now <= len) t.fail(`${len}`);
    last = now;
  }
  t.is(truesize(1500, 1500), 2304);
  t.is(truesize(1501, 1500), 2304 + 832);
  t.is(truesize(28, 20), 832);
  t.is(RMEM_DEFAULT, 212_992);
});
