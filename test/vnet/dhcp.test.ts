// Statement 15: the platform answers DHCP (V7, V21, V60), broadcast or unicast to itself; V63 routes and
// option 245 as real leases have them.

import test from "ava";
import { parseMac } from "../../src/wire/address.ts";
import { udpFrame } from "../../src/wire/build.ts";
import { ipv4Check, ipv4Dst, ipv4Src } from "../../src/wire/ipv4.ts";
import { udpCheck } from "../../src/wire/udp.ts";
import { BROADCAST, ip, Net, VIRTUAL, type Vm } from "./kit.ts";

const MESSAGE = 14 + 20 + 8;

interface Request {
  type: number;
  options?: number[];
  broadcast?: boolean;
  client?: number;
  relay?: number;
  mac?: string;
  src?: string;
  dst?: string;
  sport?: number;
}

/** A client's message, built from RFC 2131 by hand. */
function request(net: Net, vm: Vm, r: Request): Uint8Array {
  const body = new Uint8Array(300);
  const view = new DataView(body.buffer);
  body.set([1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef]);
  if (r.broadcast === true) view.setUint16(10, 0x8000);
  view.setInt32(12, r.client ?? 0);
  view.setInt32(24, r.relay ?? 0);
  const mac = parseMac(r.mac ?? net.mac(vm))!;
  view.setUint16(28, mac.hi);
  view.setInt32(30, mac.lo);
  view.setUint32(236, 0x63825363);
  body.set([53, 1, r.type, ...(r.options ?? []), 255], 240);
  return udpFrame({
    srcMac: net.mac(vm),
    dstMac: r.dst === undefined ? BROADCAST : VIRTUAL,
    src: r.src ?? "0.0.0.0",
    dst: r.dst ?? "255.255.255.255",
    sport: r.sport ?? 68,
    dport: 67,
    payload: body,
  });
}

/** Options of a reply by code, values as bytes. */
function options(frame: Uint8Array): Record<number, number[]> {
  const found: Record<number, number[]> = {};
  for (let at = MESSAGE + 240; frame[at] !== 255; at += 2 + frame[at + 1]!) {
    found[frame[at]!] = [...frame.slice(at + 2, at + 2 + frame[at + 1]!)];
  }
  return found;
}

const address = (text: string) => text.split(".").map(Number);

test("A8.15 DISCOVER is answered with an OFFER: primary address, mask, gateway .1, DNS (V7)", (t) => {
  const net = new Net();
  net.vm("other");
  const a = net.vm("a");
  net.send(a, request(net, a, { type: 1 }));
  const [offer, ...more] = net.frames(a);
  t.deepEqual(more, []);
  const view = new DataView(offer!.buffer);
  t.is(ipv4Check(view, 14, offer!.length), 0);
  t.is(udpCheck(view, 34, offer!.length, 14), 0);
  t.is(ipv4Src(view, 14), ip("168.63.129.16"));
  t.is(ipv4Dst(view, 14), ip("10.224.0.5"));
  t.is(view.getUint8(MESSAGE), 2);
  t.is(view.getUint32(MESSAGE + 4), 0xdeadbeef);
  t.is(view.getInt32(MESSAGE + 16), ip("10.224.0.5"));
  t.deepEqual(options(offer!), {
    53: [2],
    54: address("168.63.129.16"),
    51: [255, 255, 255, 255],
    58: [255, 255, 255, 255],
    59: [255, 255, 255, 255],
    1: address("255.255.255.0"),
    3: address("10.224.0.1"),
    6: address("168.63.129.16"),
    121: [
      ...[0, ...address("10.224.0.1")],
      ...[32, ...address("168.63.129.16"), ...address("10.224.0.1")],
      ...[32, ...address("169.254.169.254"), ...address("10.224.0.1")],
    ],
    245: address("168.63.129.16"),
  });
  net.end(t);
});

test("A8.15 REQUEST for the primary address is acknowledged, for another refused by broadcast", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const server = [54, 4, ...address("168.63.129.16")];
  net.send(a, request(net, a, { type: 3, options: [50, 4, ...address("10.224.0.4"), ...server] }));
  net.send(a, request(net, a, { type: 3, options: [50, 4, ...address("10.224.0.9")] }));
  const [ack, nak] = net.frames(a);
  t.deepEqual(options(ack!)[53], [5]);
  t.deepEqual(options(nak!), { 53: [6], 54: address("168.63.129.16") });
  const view = new DataView(nak!.buffer);
  t.is(ipv4Dst(view, 14), -1);
  t.is(view.getInt32(MESSAGE + 16), 0);
  net.end(t);
});

test("A8.15 renewal is unicast to 168.63.129.16 and answered there (V60)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const client = ip("10.224.0.4");
  net.send(a, request(net, a, { type: 3, client, src: "10.224.0.4", dst: "168.63.129.16" }));
  const [ack] = net.frames(a);
  t.deepEqual(options(ack!)[53], [5]);
  t.is(ipv4Dst(new DataView(ack!.buffer), 14), client);
  net.end(t);
});

test("the broadcast flag is honoured; INFORM gets settings and no address", (t) => {
  const net = new Net();
  const a = net.vm("a");
  net.send(a, request(net, a, { type: 1, broadcast: true }));
  net.send(a, request(net, a, { type: 8, client: ip("10.224.0.4"), src: "10.224.0.4" }));
  const [offer, ack] = net.frames(a);
  t.is(ipv4Dst(new DataView(offer!.buffer), 14), -1);
  t.is(offer![0], 0xff);
  t.is(new DataView(ack!.buffer).getInt32(MESSAGE + 16), 0);
  const found = options(ack!);
  t.deepEqual(Object.keys(found), ["1", "3", "6", "53", "54", "121", "245"]);
  net.end(t);
});

test("silence with a name: another server's offer, DECLINE, RELEASE, relays, foreign MAC, rubbish", (t) => {
  const net = new Net();
  const a = net.vm("a");
  net.send(a, request(net, a, { type: 3, options: [54, 4, 10, 0, 0, 9] }));
  net.send(a, request(net, a, { type: 4 }));
  net.send(a, request(net, a, { type: 7 }));
  t.is(net.drops(a)["a VNET_PLATFORM"], 3);
  net.send(a, request(net, a, { type: 1, relay: ip("10.224.0.9") }));
  t.is(net.drops(a)["a VNET_BLOCKED"], 1);
  net.send(a, request(net, a, { type: 1, mac: "00:0d:3a:00:00:01" }));
  t.is(net.drops(a)["a VNET_SPOOFED_MAC"], 1);
  const broken = request(net, a, { type: 1 });
  broken[MESSAGE + 236] = 0;
  net.send(a, broken);
  net.send(a, net.udp(a, "168.63.129.16", { sport: 68, dport: 67, payload: 10 }));
  t.is(net.drops(a)["a VNET_DHCP_INVALID"], 2);
  // From another port it is no client's message: an ordinary broadcast without a source.
  net.send(a, request(net, a, { type: 1, sport: 4000 }));
  t.is(net.drops(a)["a VNET_SPOOFED_SOURCE"], 1);
  t.deepEqual(net.frames(a), []);
  net.end(t);
});

test("a message cut anywhere, or with lying option lengths, is never read past its end", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const whole = request(net, a, { type: 1 }).slice(MESSAGE);
  for (let n = 0; n <= 260; n++) {
    const link = { srcMac: net.mac(a), dstMac: BROADCAST, src: "0.0.0.0", dst: "255.255.255.255" };
    net.send(a, udpFrame({ ...link, sport: 68, dport: 67, payload: whole.slice(0, n) }));
    const lying = whole.slice();
    lying[240 + (n % 4)] = n & 0xff;
    lying[241] = n & 0xff;
    net.send(a, udpFrame({ ...link, sport: 68, dport: 67, payload: lying }));
  }
  t.true(net.frames(a).length > 0);
  net.end(t);
});
