// V43, V44 and statement 18: which fragments pass, for how long, and how many datagrams the fabric follows at
// one time.

import test from "ava";
import { Net, ONE_VNET, type Vm } from "./kit.ts";

const first = (net: Net, from: Vm, to: Vm, id: number) =>
  net.send(from, net.udp(from, net.address(to), { id, mf: true, payload: 16 }));
const later = (net: Net, from: Vm, to: Vm, id: number, fragmentOffset = 24, mf = false) =>
  net.send(from, net.udp(from, net.address(to), { id, mf, fragmentOffset, payload: 16 }));

function pair(settings = {}) {
  const net = new Net(ONE_VNET, settings);
  return { net, a: net.vm("a"), b: net.vm("b") };
}

test("behind their first, later fragments pass in any order and again", (t) => {
  const { net, a, b } = pair();
  first(net, a, b, 1);
  later(net, a, b, 1, 72);
  later(net, a, b, 1, 24, true);
  later(net, a, b, 1, 24, true);
  t.is(net.frames(b).length, 4);
  net.end(t);
});

test("identification, addresses, protocol and port all belong to the key", (t) => {
  const { net, a, b } = pair();
  const c = net.vm("c");
  first(net, a, b, 1);
  later(net, a, b, 2);
  later(net, a, c, 1);
  later(net, c, b, 1);
  net.send(a, net.udp(a, net.address(b), { id: 1, fragmentOffset: 24, src: net.address(a) }));
  t.deepEqual(net.drops(a, c), { "a VNET_FRAGMENT": 2, "c VNET_FRAGMENT": 1 });
  t.is(net.frames(b).length, 2);
  net.end(t);
});

test("a first fragment that is dropped opens nothing", (t) => {
  const { net, a, b } = pair();
  net.send(a, net.udp(a, net.address(b), { id: 1, mf: true, payload: 16, sport: 65330 }));
  later(net, a, b, 1);
  t.deepEqual(net.drops(a), { "a VNET_BLOCKED": 1, "a VNET_FRAGMENT": 1 });
  net.end(t);
});

test("a flow ends after its time, to the nanosecond; a new first fragment begins it anew", (t) => {
  const { net, a, b } = pair({ fragmentTimeout: 1_000 });
  first(net, a, b, 1);
  net.k.clock.now = 999;
  later(net, a, b, 1);
  t.is(net.frames(b).length, 2);
  first(net, a, b, 1);
  net.k.clock.now = 1_998;
  later(net, a, b, 1);
  t.is(net.frames(b).length, 2);
  net.k.clock.now = 1_999;
  later(net, a, b, 1);
  t.deepEqual(net.drops(a), { "a VNET_FRAGMENT": 1 });
  net.end(t);
});

test("the table is bounded: the oldest flow makes room", (t) => {
  const { net, a, b } = pair({ fragmentFlows: 3 });
  for (let id = 1; id <= 4; id++) first(net, a, b, id);
  // 2 is the oldest now, but begun again it is the youngest: 3 goes next.
  first(net, a, b, 2);
  first(net, a, b, 5);
  net.frames(b);
  for (let id = 1; id <= 5; id++) later(net, a, b, id);
  t.deepEqual(net.drops(a), { "a VNET_FRAGMENT": 2 });
  t.is(net.v.fragments.index.count, 3);
  for (let id = 100; id < 1_000; id++) first(net, a, b, id);
  t.is(net.v.fragments.index.count, 3);
  net.end(t);
});

test("a fragment of 0 bytes and a UDP header cut by the first fragment are invalid", (t) => {
  const { net, a, b } = pair();
  const frame = net.udp(a, net.address(b), { id: 1, mf: true, payload: 16 });
  const view = new DataView(frame.buffer);
  view.setUint16(16, 20 + 4);
  view.setUint16(24, 0);
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(24, ~sum & 0xffff);
  net.send(a, frame);
  t.deepEqual(net.drops(a), { "a VNET_INVALID": 1 });
  net.end(t);
});
