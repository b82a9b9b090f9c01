// azure.md section 8, Fabric: statements 1 to 22 and 26, as a guest sees them. Not here: the SNAT half of 19
// (load balancer, NAT gateway), 23 and 24 (a DNS service and NSGs), 25 (flow limits).

import test from "ava";
import { arpFrame, icmpEchoFrame, icmpErrorFrame, ipPacketOf, tcpFrame } from "../../src/wire/build.ts";
import { ipv4Df, ipv4FillChecksum, ipv4Ttl } from "../../src/wire/ipv4.ts";
import { BROADCAST, ip, Net, ONE_VNET, VIRTUAL } from "./kit.ts";

const arp = (net: Net, vm: ReturnType<Net["vm"]>, targetIp: string, senderIp = net.address(vm)) =>
  arpFrame({ senderMac: net.mac(vm), senderIp, targetIp });

test("A8.1 ARP for the gateway is answered with 12:34:56:78:9a:bc (V11)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  net.send(a, arp(net, a, "10.224.0.1"));
  const reply = `Reply 10.224.0.1 is-at ${VIRTUAL}, length 28`;
  t.deepEqual(net.lines(a, true), [
    `${VIRTUAL} > ${net.mac(a)}, ethertype ARP (0x0806), length 42: ${reply}`,
  ]);
  net.end(t);
});

test("A8.2 ARP for another VM of the subnet gets the same MAC; that VM sees nothing (V11, V21)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  net.send(a, arp(net, a, net.address(b)));
  t.deepEqual(net.lines(a), [`ARP, Reply 10.224.0.5 is-at ${VIRTUAL}, length 28`]);
  t.deepEqual(net.lines(b), []);
  net.end(t);
});

test("A8.3 ARP for an address nobody has gets the same MAC (choice); packets to it end", (t) => {
  const net = new Net();
  const a = net.vm("a");
  for (const target of ["10.224.0.77", "10.239.1.2", "192.0.2.9", "168.63.129.16"]) {
    net.send(a, arp(net, a, target));
    t.deepEqual(net.lines(a), [`ARP, Reply ${target} is-at ${VIRTUAL}, length 28`]);
  }
  net.send(a, net.udp(a, "10.224.0.77"));
  t.deepEqual(net.drops(a), { "a VNET_NO_SUCH_ADDRESS": 1 });
  net.end(t);
});

test("A8.4 ARP for the VM's own primary address gets no answer (V13)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  net.send(a, arp(net, a, net.address(a), "10.224.0.9"));
  net.send(a, arp(net, a, net.address(a)));
  net.send(a, arp(net, a, net.address(a), "0.0.0.0"));
  t.deepEqual(net.lines(a), []);
  t.deepEqual(net.drops(a), { "a VNET_ARP_OWN": 3 });
  net.end(t);
});

test("A8.5 the receiver sees its own MAC as destination, not the virtual one (V15)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  net.send(a, net.udp(a, net.address(b), { payload: 4 }));
  const [line] = net.lines(b, true);
  t.true(line?.startsWith(`${VIRTUAL} > ${net.mac(b)}, `), line);
  net.end(t);
});

test("A8.6 broadcast IPv4 reaches no other VM (V20)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  net.send(a, net.udp(a, "255.255.255.255", { dstMac: BROADCAST }));
  net.send(a, net.udp(a, "255.255.255.255"));
  net.send(a, net.udp(a, "10.224.0.255", { dstMac: BROADCAST }));
  net.send(a, net.udp(a, "10.224.0.255"));
  net.send(a, net.udp(a, "10.224.1.255"));
  // A unicast packet in a broadcast frame is one too.
  net.send(a, net.udp(a, net.address(b), { dstMac: BROADCAST }));
  t.deepEqual(net.lines(b), []);
  t.deepEqual(net.drops(a), { "a VNET_BROADCAST": 6 });
  net.end(t);
});

test("A8.7 a frame to 224.0.0.0/4 reaches nobody (V20)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  for (const dst of ["224.0.0.1", "239.255.255.250"]) {
    net.send(a, net.udp(a, dst, { dstMac: "01:00:5e:00:00:01" }));
    net.send(a, net.udp(a, dst));
  }
  net.send(a, net.udp(a, net.address(b), { dstMac: "01:00:5e:00:00:01" }));
  t.deepEqual(net.lines(b), []);
  t.deepEqual(net.drops(a), { "a VNET_MULTICAST": 5 });
  net.end(t);
});

test("A8.8 GRE and IP-in-IP between VMs are dropped; ESP and AH are carried (V30, V31)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  for (const protocol of [47, 4, 50, 51]) {
    const frame = net.udp(a, net.address(b));
    frame[14 + 9] = protocol;
    ipv4FillChecksum(new DataView(frame.buffer), 14);
    net.send(a, frame);
  }
  t.is(net.frames(b).length, 2);
  t.deepEqual(net.drops(a), { "a VNET_BLOCKED": 2 });
  net.end(t);
});

test("A8.9 a foreign source with IP forwarding off ends at the sender's port, counted (V50, V55)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  net.send(a, net.udp(a, net.address(b), { src: "10.244.1.7" }));
  net.send(a, net.udp(a, net.address(b), { src: net.address(b) }));
  t.deepEqual(net.frames(b), []);
  t.deepEqual(net.drops(a, b), { "a VNET_SPOOFED_SOURCE": 2 });
  t.is(net.v.nics.dropped[a.nic], 2);
  net.end(t);
});

test("A8.10 the same with IP forwarding on passes (V51)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  net.v.setIpForwarding(a.nic, true);
  net.send(a, net.udp(a, net.address(b), { src: "10.244.1.7" }));
  t.deepEqual(net.lines(b), ["IP 10.244.1.7.4000 > 10.224.0.5.53: UDP, length 0"]);
  net.v.setIpForwarding(a.nic, false);
  net.send(a, net.udp(a, net.address(b), { src: "10.244.1.7" }));
  t.deepEqual(net.frames(b), []);
  net.end(t);
});

test("A8.11 a packet routed to a NIC that does not own the address ends at its port (V51, V54)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const nva = net.vm("nva");
  const table = net.v.addRouteTable("rt");
  net.v.setRoute(table, ip("10.244.0.0"), 16, 3, ip(net.address(nva)));
  net.v.associate(net.subnet("nodes"), table);
  net.send(a, net.udp(a, "10.244.1.7"));
  t.deepEqual(net.frames(nva), []);
  t.deepEqual(net.drops(a, nva), { "nva VNET_NOT_ADDRESSED": 1 });
  net.v.setIpForwarding(nva.nic, true);
  net.send(a, net.udp(a, "10.244.1.7"));
  t.deepEqual(net.lines(nva), ["IP 10.224.0.4.4000 > 10.244.1.7.53: UDP, length 0"]);
  net.end(t);
});

test("A8.12 a secondary address passes as source without the flag, and is delivered (V53)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  t.is(net.v.addIpConfig(a.nic, 0), ip("10.224.0.6"));
  net.send(a, net.udp(a, net.address(b), { src: "10.224.0.6" }));
  net.send(b, net.udp(b, "10.224.0.6"));
  t.is(net.frames(b).length, 1);
  t.is(net.frames(a).length, 1);
  net.v.removeIpConfig(a.nic, ip("10.224.0.6"));
  net.send(a, net.udp(a, net.address(b), { src: "10.224.0.6" }));
  net.send(b, net.udp(b, "10.224.0.6"));
  t.deepEqual(net.drops(a, b), { "a VNET_SPOOFED_SOURCE": 1, "b VNET_NO_SUCH_ADDRESS": 1 });
  net.end(t);
});

test("A8.13 TTL and header arrive as they were sent, TTL 1 too: a traceroute has one hop (V72, V74)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b", "", "more");
  for (const ttl of [64, 1]) {
    const sent = net.udp(a, net.address(b), { ttl, tos: 0xb8, payload: 100 });
    net.send(a, sent);
    const [got] = net.frames(b);
    t.deepEqual(got?.slice(14), sent.slice(14));
    t.is(ipv4Ttl(new DataView(sent.buffer), 14), ttl);
  }
  net.end(t);
});

test("A8.14 the gateway does not answer a ping (V70)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const link = { srcMac: net.mac(a), dstMac: VIRTUAL };
  for (const dst of ["10.224.0.1", "10.224.0.2", "10.224.0.3", "10.224.1.1"]) {
    net.send(a, icmpEchoFrame({ ...link, src: net.address(a), dst, ident: 1, seq: 1 }));
  }
  t.deepEqual(net.frames(a), []);
  t.deepEqual(net.drops(a), { "a VNET_PLATFORM": 4 });
  net.end(t);
});

test("A8.15 unicast DHCP, 68 to 67, reaches no VM (V32); the platform's answers: dhcp.test.ts", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  net.send(a, net.udp(a, net.address(b), { sport: 68, dport: 67, payload: 300 }));
  t.deepEqual(net.frames(b), []);
  t.deepEqual(net.drops(a), { "a VNET_BLOCKED": 1 });
  net.end(t);
});

test("A8.16 a guest's OFFER reaches no other VM, broadcast or unicast, nor a relay's message (V33)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  net.send(a, net.udp(a, "255.255.255.255", { sport: 67, dport: 68, dstMac: BROADCAST }));
  net.send(a, net.udp(a, net.address(b), { sport: 67, dport: 68 }));
  net.send(a, net.udp(a, net.address(b), { sport: 67, dport: 67 }));
  t.deepEqual(net.frames(b), []);
  t.deepEqual(net.drops(a), { "a VNET_BLOCKED": 2, "a VNET_BROADCAST": 1 });
  net.end(t);
});

test("A8.17 UDP from port 65330 is not delivered (V32); TCP from it is, and UDP to it", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  net.send(a, net.udp(a, net.address(b), { sport: 65330 }));
  t.deepEqual(net.frames(b), []);
  t.deepEqual(net.drops(a), { "a VNET_BLOCKED": 1 });
  net.send(a, net.udp(a, net.address(b), { dport: 65330 }));
  const link = { srcMac: net.mac(a), dstMac: VIRTUAL, src: net.address(a), dst: net.address(b) };
  net.send(a, tcpFrame({ ...link, sport: 65330, dport: 80, flags: 2 }));
  t.is(net.frames(b).length, 2);
  net.end(t);
});

test("A8.18 a fragment without its first is dropped; behind it, it passes (V43, V44)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  const later = net.udp(a, net.address(b), { id: 5, fragmentOffset: 1480, payload: 100 });
  net.send(a, later);
  t.deepEqual(net.drops(a), { "a VNET_FRAGMENT": 1 });
  net.send(a, net.udp(a, net.address(b), { id: 5, mf: true, payload: 1472 }));
  net.send(a, later);
  t.is(net.frames(b).length, 2);
  net.end(t);
});

test("A8.19 a datagram of 1600 bytes is carried as the fragments its guest made, unjoined (V44)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  const sent = [
    net.udp(a, net.address(b), { id: 9, mf: true, payload: 1472 }),
    net.udp(a, net.address(b), { id: 9, fragmentOffset: 1480, payload: 120 }),
  ];
  for (const frame of sent) net.send(a, frame);
  const got = net.frames(b);
  t.deepEqual(
    got.map((frame) => frame.slice(14)),
    sent.map((frame) => frame.slice(14)),
  );
  t.false(ipv4Df(new DataView(got[0]!.buffer), 14));
  net.end(t);
});

test("A8.20 .0 to .3 and the last address cannot be had; the first VM gets .4 (V3)", (t) => {
  const net = new Net();
  t.is(net.address(net.vm("a")), "10.224.0.4");
  t.is(net.address(net.vm("b")), "10.224.0.5");
  net.end(t);
});

test("A8.26 another primary address is another MAC, and the old one is forgotten (V18)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  const before = net.mac(a);
  t.true(net.v.setPrimaryAddress(a.nic, ip("10.224.0.40")));
  t.not(net.mac(a), before);
  t.is(net.k.dev.macLo[a.dev], net.v.nics.macLo[a.nic]);
  net.send(b, net.udp(b, "10.224.0.40"));
  t.true(net.lines(a, true)[0]?.includes(`> ${net.mac(a)}`));
  net.send(b, net.udp(b, "10.224.0.4"));
  net.send(a, net.udp(a, net.address(b), { srcMac: before }));
  t.deepEqual(net.drops(a, b), { "b VNET_NO_SUCH_ADDRESS": 1, "a VNET_SPOOFED_MAC": 1 });
  t.true(net.v.setPrimaryAddress(a.nic, ip("10.224.0.40")));
  t.is(net.address(net.vm("c")), "10.224.0.4");
  t.true(net.v.setPrimaryAddress(a.nic, 0));
  t.is(net.address(a), "10.224.0.6");
  net.end(t);
});

test("A8.94 the fabric's drops have one reason each, and ICMP never comes of them", (t) => {
  const net = new Net(ONE_VNET);
  const a = net.vm("a");
  net.send(a, net.udp(a, "8.8.8.8", { ttl: 1 }));
  const quote = ipPacketOf(net.udp(a, "8.8.8.8"));
  const link = { srcMac: net.mac(a), dstMac: VIRTUAL, src: net.address(a), dst: "10.224.0.99" };
  net.send(a, icmpErrorFrame({ ...link, type: 3, code: 3, quote }));
  t.deepEqual(net.frames(a), []);
  t.is(net.k.dropped, 2);
  t.deepEqual(net.drops(a), { "a VNET_NO_INTERNET": 1, "a VNET_NO_SUCH_ADDRESS": 1 });
  net.end(t);
});
