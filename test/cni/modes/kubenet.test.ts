// kubenet: the reference bridge plugin with cbr0, host-local, and a route table in the fabric.

import test from "ava";
import { withdrawKubenet } from "../../../src/cni/modes/fabric.ts";
import { CniError } from "../../../src/cni/spec/error.ts";
import { DevKind, PortFlag } from "../../../src/node/net-device.ts";
import { formatIpv4 } from "../../../src/wire/address.ts";
import { Bed, ip } from "../testbed.ts";

test("cbr0 holds the gateway of the node's /24; pods count up from .2", (t) => {
  const bed = new Bed("kubenet");
  const [a, b] = [bed.pod(0), bed.pod(0)];
  const { k, walk } = bed;
  const cbr0 = bed.dev(bed.hosts[0], "cbr0");
  t.is(k.dev.kind[cbr0], DevKind.BRIDGE);
  t.is(formatIpv4(k.inet.addr[k.inet.firstOf(cbr0)]), "10.244.0.1");
  t.deepEqual([a.address, b.address].map(formatIpv4), ["10.244.0.2", "10.244.0.3"]);
  t.is(k.dev.master[bed.uplinks[0]], -1, "addIf is ignored");
  const way = walk.ip.fib.lookup(a.ns, ip("8.8.8.8"));
  t.is(formatIpv4(walk.ip.fib.gateway[way]), "10.244.0.1");
  t.regex(k.dev.name[bed.cni.pods.hostDev[a.row]], /^veth[0-9a-f]{8}$/);
});

test("cbr0 has the MAC of its first port and keeps it, whatever ports come", (t) => {
  const bed = new Bed("kubenet");
  const a = bed.pod(0);
  const cbr0 = bed.dev(bed.hosts[0], "cbr0");
  const mac = bed.mac(cbr0);
  t.is(mac, bed.mac(bed.cni.pods.hostDev[a.row]));
  for (let i = 0; i < 10; i++) bed.pod(0);
  bed.remove(a);
  t.is(bed.mac(cbr0), mac);
});

test("pods reach each other, both nodes and pods elsewhere", (t) => {
  const bed = new Bed("kubenet");
  const [a, b, c] = [bed.pod(0), bed.pod(0), bed.pod(1)];
  t.is(bed.ping(a.ns, b.address), 64);
  t.is(bed.ping(a.ns, c.address), 62);
  t.is(bed.ping(a.ns, ip("10.224.0.4")), 64);
  t.is(bed.ping(a.ns, ip("10.224.0.5")), 63);
  t.is(bed.ping(bed.hosts[1], c.address), 64);
  t.deepEqual(bed.udp(a.ns, c.address, c.ns), { from: "10.244.0.2", ttl: 62 });
  t.is(bed.k.skb.live, 0);
});

test("A8.88 without the node's route, or without its NIC forwarding, pods of two nodes are cut off", (t) => {
  const routed = new Bed("kubenet");
  const [a, c] = [routed.pod(0), routed.pod(1)];
  t.is(routed.ping(a.ns, c.address), 62);
  const { vnet } = routed.walk;
  const table = vnet.subnets.table[0];
  withdrawKubenet(vnet, table, ip("10.244.1.0"), 24);
  t.is(routed.ping(a.ns, c.address), -1);
  const forwarding = new Bed("kubenet");
  const [d, e] = [forwarding.pod(0), forwarding.pod(1)];
  t.is(forwarding.ping(d.ns, e.address), 62);
  forwarding.walk.vnet.setIpForwarding(forwarding.k.dev.nic[forwarding.uplinks[1]], false);
  t.is(forwarding.ping(d.ns, e.address), -1);
});

test("hairpinMode is the port's flag", (t) => {
  for (const hairpinMode of [false, true]) {
    const bed = new Bed("kubenet", { spec: { kubenet: { hairpinMode } } });
    const a = bed.pod(0);
    const flag = bed.k.dev.portFlags[bed.cni.pods.hostDev[a.row]] & PortFlag.HAIRPIN;
    t.is(flag !== 0, hairpinMode);
  }
});

test("DEL removes the veth; the next pod gets the next address, not this one (host-local)", (t) => {
  const bed = new Bed("kubenet");
  const a = bed.pod(0);
  const cbr0 = bed.dev(bed.hosts[0], "cbr0");
  bed.remove(a);
  t.is(bed.walk.link.bridges.portsOf(cbr0).length, 0);
  t.is(formatIpv4(bed.pod(0).address), "10.244.0.3");
});

test("a device called cbr0 that is no bridge, and a bridge with another address, are refused", (t) => {
  const bed = new Bed("kubenet");
  bed.k.addDevice(bed.hosts[0], DevKind.VETH, "cbr0");
  t.throws(() => bed.pod(0), { instanceOf: CniError, message: /is not a bridge/ });
  const other = new Bed("kubenet");
  other.cni.setUpNode(0);
  other.k.addAddress(other.dev(other.hosts[0], "cbr0"), ip("10.244.0.9"), 24, 0);
  t.throws(() => other.pod(0), { instanceOf: CniError, message: /already has an IP address/ });
});

test("CHECK tells what is missing", (t) => {
  const bed = new Bed("kubenet");
  const a = bed.pod(0);
  t.deepEqual(bed.cni.check(a.row), []);
  bed.walk.link.bridges.removePort(bed.cni.pods.hostDev[a.row]);
  t.deepEqual(bed.cni.check(a.row), ["the veth is not a port of cbr0"]);
});
