// The port of a NIC: MACs (V15, V17, V57), frames that are no IPv4, MTU (V40, V45), stopping and removing
// VMs, delay, counters, hairpin, ARP's odd forms (9.2), overlay ranges.

import test from "ava";
import { DevKind } from "../../src/node/net-device.ts";
import { addDomain, setOverlay } from "../../src/vnet/overlay.ts";
import { arpFrame } from "../../src/wire/build.ts";
import { cidr, ip, Net, ONE_VNET, VIRTUAL } from "./kit.ts";

test("V57 a foreign source MAC is dropped; or, by a setting, stamped right", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  net.send(a, net.udp(a, net.address(b), { srcMac: net.mac(b) }));
  net.send(a, arpFrame({ senderMac: net.mac(b), senderIp: net.address(a), targetIp: "10.224.0.1" }));
  t.deepEqual(net.drops(a), { "a VNET_SPOOFED_MAC": 2 });
  net.end(t);

  const lenient = new Net(ONE_VNET, { spoofedMac: "stamp", sourceMac: "sender" });
  const c = lenient.vm("c");
  const d = lenient.vm("d");
  lenient.send(c, lenient.udp(c, lenient.address(d), { srcMac: "02:00:00:00:00:01" }));
  t.true(lenient.lines(d, true)[0]?.startsWith(`${lenient.mac(c)} > ${lenient.mac(d)}, `));
  lenient.end(t);
});

test("V15 the destination MAC of the sender does not matter, as long as it is no group", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  const c = net.vm("c");
  net.send(a, net.udp(a, net.address(b), { dstMac: net.mac(c) }));
  net.send(a, net.udp(a, net.address(b), { dstMac: "00:00:00:00:00:00" }));
  t.is(net.frames(b).length, 2);
  t.is(net.frames(c).length, 0);
  net.end(t);
});

test("V10 what is neither IPv4 nor ARP ends by name: IPv6, 802.1Q, LLC, short, malformed", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  const good = net.udp(a, net.address(b), { payload: 8 });
  let count = 0;
  const bad = (change: (frame: Uint8Array, view: DataView) => Uint8Array | undefined) => {
    const frame = good.slice();
    net.send(a, change(frame, new DataView(frame.buffer)) ?? frame);
    t.deepEqual(net.drops(a), { "a VNET_INVALID": ++count });
  };
  for (const type of [0x86dd, 0x8100, 0x88a8, 0x0026, 0x88cc]) {
    bad((_, view) => void view.setUint16(12, type));
  }
  bad((frame) => frame.slice(0, 13));
  bad((frame) => frame.slice(0, 33));
  bad((_, view) => void view.setUint8(14, 0x65));
  bad((_, view) => void view.setUint8(14, 0x44));
  bad((_, view) => void view.setUint8(14 + 8, 7));
  bad((frame) => frame.slice(0, frame.length - 1));
  t.deepEqual(net.frames(b), []);
  // Ethernet padding behind the datagram is carried.
  const padded = new Uint8Array(60);
  padded.set(good);
  net.send(a, padded);
  t.is(net.frames(b)[0]?.length, 60);
  net.end(t);
});

test("ARP that asks nothing, or for one's own addresses by probe, stays unanswered (9.2, choice)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  net.v.addIpConfig(a.nic, ip("10.224.0.50"));
  const arp = (senderIp: string, targetIp: string, reply = false) =>
    net.send(a, arpFrame({ senderMac: net.mac(a), senderIp, targetIp, reply }));
  arp("10.224.0.50", "10.224.0.50");
  arp("10.224.0.99", "10.224.0.99");
  arp(net.address(a), net.address(b), true);
  t.deepEqual(net.drops(a), {}, "they have come where they were going");
  arp("0.0.0.0", "10.224.0.50");
  t.is(net.drops(a)["a VNET_ARP_OWN"], 1);
  t.deepEqual(net.lines(a), []);
  // Tunnel mode: the node's pods are found through the fabric (azure.md 5.5).
  arp(net.address(a), "10.224.0.50");
  arp("0.0.0.0", net.address(b));
  t.deepEqual(net.lines(a), [
    `ARP, Reply 10.224.0.50 is-at ${VIRTUAL}, length 28`,
    `ARP, Reply 10.224.0.5 is-at ${VIRTUAL}, length 28`,
  ]);
  const short = arpFrame({ senderMac: net.mac(a), senderIp: "10.224.0.4", targetIp: "10.224.0.1" });
  net.send(a, short.slice(0, 41));
  t.is(net.drops(a)["a VNET_INVALID"], 1);
  net.end(t);
});

test("V22 the answer names the asker inside the request, which a bridge may have rewritten", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const pod = "0a:00:00:00:00:07";
  net.send(
    a,
    arpFrame({ srcMac: net.mac(a), senderMac: pod, senderIp: "10.224.0.4", targetIp: "10.224.0.1" }),
  );
  const [reply] = net.frames(a);
  t.deepEqual([...reply!.slice(32, 38)], [0x0a, 0, 0, 0, 0, 7]);
  t.is(net.k.skb.live, 0);
  net.end(t);
});

test("V40, V45 a datagram longer than either NIC's MTU ends, at the port it is too long for", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  const send = (bytes: number, df = false) =>
    net.send(a, net.udp(a, net.address(b), { payload: bytes - 28, df }));
  send(1500, true);
  send(1500);
  t.is(net.frames(b).length, 2);
  send(1501);
  t.deepEqual(net.drops(a), { "a VNET_MTU": 1 });
  net.v.setMtu(a.nic, 9_000);
  send(1501);
  t.deepEqual(net.drops(a, b), { "a VNET_MTU": 1, "b VNET_MTU": 1 });
  net.v.setMtu(b.nic, 3_900);
  send(3_900);
  send(3_901);
  t.is(net.frames(b).length, 1);
  t.deepEqual(net.drops(a, b), { "a VNET_MTU": 1, "b VNET_MTU": 2 });
  net.end(t);
});

test("a stopped VM neither sends nor receives, and keeps address and MAC (V18)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  const mac = net.mac(b);
  net.v.setVmRunning(b.ns, false);
  net.send(a, net.udp(a, net.address(b)));
  net.send(b, net.udp(b, net.address(a)));
  t.deepEqual(net.drops(a, b), { "b VNET_STOPPED": 2 });
  net.v.setVmRunning(b.ns, true);
  net.send(a, net.udp(a, "10.224.0.5"));
  t.is(net.frames(b).length, 1);
  t.is(net.mac(b), mac);
  net.end(t);
});

test("removing a NIC frees its addresses, the lowest first again, and the next NIC has another MAC", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  for (let i = 0; i < 3; i++) net.v.addIpConfig(b.nic, 0);
  const mac = net.mac(b);
  net.v.removeNic(b.nic);
  t.is(net.k.dev.nic[b.dev], -1);
  net.send(a, net.udp(a, "10.224.0.5"));
  net.send(b, net.udp(a, "10.224.0.4"));
  t.deepEqual(net.drops(a, b), { "a VNET_NO_SUCH_ADDRESS": 1, "b NO_CARRIER": 1 });
  const c = net.vm("c");
  t.is(net.address(c), "10.224.0.5");
  t.not(net.mac(c), mac);
  t.is(c.nic, b.nic);
  net.send(a, net.udp(a, net.address(c)));
  t.is(net.frames(c).length, 1);
  t.is(net.v.vnets.addresses[0], 2);
  net.end(t);
});

test("a delay is an event: exact, and in order; without one delivery is at once", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  net.v.setDelay(0, 50_000);
  net.send(a, net.udp(a, net.address(b), { payload: 1 }));
  net.k.clock.now = 10;
  net.send(a, net.udp(a, net.address(b), { payload: 2 }));
  t.is(net.k.skb.live, 2);
  net.run(49_999);
  t.is(net.frames(b).length, 0);
  net.run(50_000);
  t.deepEqual(net.lines(b), ["IP 10.224.0.4.4000 > 10.224.0.5.53: UDP, length 1"]);
  net.run(50_010);
  t.deepEqual(net.lines(b), ["IP 10.224.0.4.4000 > 10.224.0.5.53: UDP, length 2"]);
  // ARP is answered at the sender's host.
  net.send(a, arpFrame({ senderMac: net.mac(a), senderIp: net.address(a), targetIp: "10.224.0.1" }));
  t.is(net.frames(a).length, 1);
  net.end(t);
});

test("what is under way to a NIC that goes ends by name, also when its row has a new tenant", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  net.v.setDelay(0, 1_000);
  net.send(a, net.udp(a, net.address(b)));
  net.v.removeNic(b.nic);
  const c = net.vm("c", "10.224.0.5");
  t.is(c.nic, b.nic);
  net.run();
  t.deepEqual(net.frames(c), []);
  net.send(a, net.udp(a, net.address(c)));
  // Lost without being removed from the fabric; the next device gets its row.
  net.k.removeDevice(c.dev);
  const dev = net.k.addDevice(c.ns, DevKind.NIC, "eth0");
  t.is(dev, c.dev);
  net.k.setUp(dev, true);
  const d = { name: "d", ns: c.ns, dev, nic: net.v.addNic(net.subnet("nodes"), 0, dev) };
  net.run();
  t.deepEqual(net.frames(d), []);
  t.deepEqual(net.drops(a), { "a DEV_GONE": 2 });
  // The address is still the lost NIC's until that is removed; the new one works.
  net.send(a, net.udp(a, net.address(d)));
  net.run();
  t.is(net.frames(d).length, 1);
  net.v.removeNic(c.nic);
  t.is(net.k.dev.nic[d.dev], d.nic);
  net.end(t);
});

test("a packet for one's own address comes back: tunnel mode's way between pods of a node (5.5)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  net.v.addIpConfig(a.nic, 0);
  net.v.addIpConfig(a.nic, 0);
  net.send(a, net.udp(a, "10.224.0.6", { src: "10.224.0.5" }));
  const [line] = net.lines(a, true);
  t.true(line?.startsWith(`${VIRTUAL} > ${net.mac(a)}, `));
  net.end(t);
});

test("V60 no guest sends as the platform, nor from an address nobody can have, whatever its flag", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  net.v.setIpForwarding(a.nic, true);
  const never = ["168.63.129.16", "0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.5", "255.255.255.255"];
  for (const src of never) net.send(a, net.udp(a, net.address(b), { src }));
  t.deepEqual(net.drops(a), { "a VNET_SPOOFED_SOURCE": never.length });
  net.end(t);
});

test("counters: every frame handed over is sent; then it is received or dropped, once", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  net.send(a, net.udp(a, net.address(b), { payload: 100 }));
  net.send(a, net.udp(a, "8.8.8.8"));
  net.v.setVmRunning(b.ns, false);
  net.send(a, net.udp(a, net.address(b)));
  const { nics } = net.v;
  t.deepEqual([nics.sent[a.nic], nics.sentBytes[a.nic], nics.dropped[a.nic]], [3, 142 + 42 + 42, 1]);
  t.deepEqual([nics.received[b.nic], nics.receivedBytes[b.nic], nics.dropped[b.nic]], [1, 142, 1]);
  net.end(t);
});

test("overlay: pods of one domain reach each other by node range; the VNet knows none of them", (t) => {
  const net = new Net();
  const n0 = net.vm("n0");
  const n1 = net.vm("n1");
  const vm = net.vm("vm");
  const twin = net.vm("twin");
  const domain = addDomain(net.v);
  const other = addDomain(net.v);
  setOverlay(net.v, n0.nic, domain, ...cidr("10.244.0.0/24"));
  setOverlay(net.v, n1.nic, domain, ...cidr("10.244.1.0/24"));
  // The same range again, for another cluster (azure.md 5.11).
  setOverlay(net.v, twin.nic, other, ...cidr("10.244.1.0/24"));
  const pod = { src: "10.244.0.7" };
  net.send(n0, net.udp(n0, "10.244.1.9", pod));
  t.deepEqual(net.lines(n1), ["IP 10.244.0.7.4000 > 10.244.1.9.53: UDP, length 0"]);
  t.is(net.frames(twin).length, 0);
  net.send(vm, net.udp(vm, "10.244.1.9"));
  net.send(n0, net.udp(n0, "10.244.2.9", pod));
  net.send(n0, net.udp(n0, "10.244.1.9", { src: "10.244.1.9" }));
  t.deepEqual(net.drops(n0, vm), {
    "vm VNET_ROUTE_NONE": 1,
    "n0 VNET_ROUTE_NONE": 1,
    "n0 VNET_SPOOFED_SOURCE": 1,
  });
  net.v.removeNic(n1.nic);
  net.send(n0, net.udp(n0, "10.244.1.9", pod));
  t.is(net.drops(n0)["n0 VNET_ROUTE_NONE"], 2);
  net.end(t);
});
