// azure-vnet in bridge and tunnel mode, judged by frames (azure.md 5.2-5.5, statements 67-73).

import test from "ava";
import { RouteType } from "../../../src/ip/fib.ts";
import { Nud } from "../../../src/ip/neigh-table.ts";
import { ServiceTable } from "../../../src/netfilter/service-table.ts";
import { PortFlag } from "../../../src/node/net-device.ts";
import { formatIpv4 } from "../../../src/wire/address.ts";
import { PROTO_UDP } from "../../../src/wire/ipv4.ts";
import { Bed, ip, type Seen } from "../testbed.ts";

const VIRTUAL = "12:34:56:78:9a:bc";
const on = (seen: Seen[], dev: string, direction: "in" | "out"): Seen[] =>
  seen.filter((s) => s.dev === dev && s.direction === direction);

for (const mode of ["azure-bridge", "azure-tunnel"] as const) {
  test(`A8.67 ${mode}: after the first ADD azure0 has the address and the default route`, (t) => {
    const bed = new Bed(mode);
    const { k, walk } = bed;
    const [ns] = bed.hosts;
    const [eth0] = bed.uplinks;
    t.true(k.inet.firstOf(eth0) >= 0);
    bed.pod(0);
    const azure0 = bed.dev(ns, "azure0");
    t.is(k.inet.firstOf(eth0), -1);
    t.is(formatIpv4(k.inet.addr[k.inet.firstOf(azure0)]), "10.224.0.4");
    t.is(k.inet.length[k.inet.firstOf(azure0)], 16);
    const way = walk.ip.fib.lookup(ns, ip("8.8.8.8"));
    t.is(walk.ip.fib.dev[way], azure0);
    t.is(formatIpv4(walk.ip.fib.gateway[way]), "10.224.0.1");
    t.is(formatIpv4(walk.ip.fib.prefsrc[way]), "10.224.0.4");
    const subnet = walk.ip.fib.lookup(ns, ip("10.224.9.9"));
    t.is(walk.ip.fib.dev[subnet], azure0);
    t.is(walk.ip.fib.gateway[subnet], 0);
    t.is(k.dev.master[eth0], azure0);
    t.true((k.dev.portFlags[eth0] & PortFlag.HAIRPIN) !== 0);
  });

  test(`${mode}: pods reach each other, their node, the other node and pods there`, (t) => {
    const bed = new Bed(mode);
    const [a, b, c] = [bed.pod(0), bed.pod(0), bed.pod(1)];
    for (const to of [b.address, c.address, ip("10.224.0.4"), ip("10.224.0.5")]) t.is(bed.ping(a.ns, to), 64);
    t.is(bed.ping(bed.hosts[0], c.address), 64);
    t.is(bed.ping(bed.hosts[0], a.address), 64);
    t.is(bed.udp(a.ns, c.address, c.ns)?.from, formatIpv4(a.address));
    t.is(bed.k.skb.live, 0);
  });

  test(`${mode}: DEL takes rules, neighbour and veth away; the address reaches nobody (C18)`, (t) => {
    const bed = new Bed(mode);
    const { walk } = bed;
    const [a, b] = [bed.pod(0), bed.pod(0)];
    const azure0 = bed.dev(bed.hosts[0], "azure0");
    const ports = walk.link.bridges.portsOf(azure0).length;
    bed.remove(b);
    t.is(walk.link.bridges.portsOf(azure0).length, ports - 1);
    t.is(walk.link.ebtables.findPod(azure0, b.address), -1);
    t.is(walk.ip.neigh.table.find(azure0, b.address), -1);
    t.is(bed.ping(a.ns, b.address), -1);
    t.is(bed.cni.nodes[0].count, 1);
  });
}

test("A8.68 bridge: ARP for a same-node pod gives that pod's MAC, and nothing leaves eth0", (t) => {
  const bed = new Bed("azure-bridge");
  const [a, b] = [bed.pod(0), bed.pod(0)];
  bed.tap(bed.hosts[0], a.ns, b.ns);
  t.is(bed.ping(a.ns, b.address), 64);
  const seen = bed.seen();
  const reply = on(seen, "p0/eth0", "in").find((s) => s.kind === "arp reply");
  t.is(reply?.sha, bed.mac(bed.cni.pods.podDev[b.row]));
  t.is(on(seen, "p1/eth0", "in").filter((s) => s.kind === "arp request").length, 0);
  t.deepEqual(on(seen, "node0/eth0", "out"), []);
});

test("A8.69 bridge: a frame leaving eth0 has its MAC, and an ARP request says it in its body", (t) => {
  const bed = new Bed("azure-bridge");
  const [a, c] = [bed.pod(0), bed.pod(1)];
  bed.tap(bed.hosts[0]);
  bed.ping(a.ns, c.address);
  const out = on(bed.seen(), "node0/eth0", "out");
  const mac = bed.mac(bed.uplinks[0]);
  t.true(out.some((s) => s.kind === "icmp"));
  for (const s of out) t.is(s.src, mac);
  const request = out.find((s) => s.kind === "arp request");
  t.is(request?.sha, mac);
  t.is(request?.from, formatIpv4(a.address));
});

test("A8.70 bridge: the fabric's ARP reply is flooded to every pod, to ff:ff:ff:ff:ff:ff", (t) => {
  const bed = new Bed("azure-bridge");
  const [a, b, c] = [bed.pod(0), bed.pod(0), bed.pod(1)];
  bed.tap(bed.hosts[0], a.ns, b.ns);
  bed.ping(a.ns, c.address);
  const seen = bed.seen();
  for (const dev of ["p0/eth0", "p1/eth0"]) {
    const reply = on(seen, dev, "in").find((s) => s.kind === "arp reply");
    t.is(reply?.dst, "ff:ff:ff:ff:ff:ff");
    t.is(reply?.sha, VIRTUAL);
    t.is(reply?.tha, bed.mac(bed.uplinks[0]));
  }
});

test("E2 bridge: ARP for the node's own address is answered with eth0's MAC, not by the fabric", (t) => {
  const bed = new Bed("azure-bridge");
  const a = bed.pod(0);
  bed.tap(bed.hosts[0], a.ns);
  t.is(bed.ping(a.ns, ip("10.224.0.4")), 64);
  const seen = bed.seen();
  const reply = on(seen, "p0/eth0", "in").find((s) => s.kind === "arp reply");
  t.is(reply?.sha, bed.mac(bed.uplinks[0]));
  t.deepEqual(on(seen, "node0/eth0", "out"), []);
});

test("C11 bridge: the node has a permanent neighbour for each pod and never asks; tunnel has none", (t) => {
  const bed = new Bed("azure-bridge");
  const a = bed.pod(0);
  const { table } = bed.walk.ip.neigh;
  const azure0 = bed.dev(bed.hosts[0], "azure0");
  t.is(table.state[table.find(azure0, a.address)], Nud.PERMANENT);
  const tunnel = new Bed("azure-tunnel");
  const b = tunnel.pod(0);
  t.is(tunnel.walk.ip.neigh.table.find(tunnel.dev(tunnel.hosts[0], "azure0"), b.address), -1);
});

test("A8.71 tunnel: a same-node ping goes to the virtual MAC, out of eth0 and back in", (t) => {
  const bed = new Bed("azure-tunnel");
  const [a, b] = [bed.pod(0), bed.pod(0)];
  bed.tap(bed.hosts[0], a.ns, b.ns);
  t.is(bed.ping(a.ns, b.address), 64);
  const seen = bed.seen();
  const out = on(seen, "node0/eth0", "out").filter((s) => s.kind === "icmp");
  const back = on(seen, "node0/eth0", "in").filter((s) => s.kind === "icmp");
  t.is(out.length, 2);
  t.is(back.length, 2);
  t.is(out[0].dst, VIRTUAL);
  t.is(on(seen, "p0/eth0", "out").find((s) => s.kind === "icmp")?.dst, VIRTUAL);
});

test("5.3 tunnel: E4 stands before E5, so a pod's ARP goes up to the fabric too", (t) => {
  const bed = new Bed("azure-tunnel");
  const [a, b] = [bed.pod(0), bed.pod(0)];
  bed.tap(bed.hosts[0], a.ns);
  bed.ping(a.ns, b.address);
  const seen = bed.seen();
  t.true(on(seen, "node0/eth0", "out").some((s) => s.kind === "arp request"));
  t.is(on(seen, "p0/eth0", "in").find((s) => s.kind === "arp reply")?.sha, VIRTUAL);
});

for (const filtered of [0, 1]) {
  const what = filtered ? "is translated" : "is not translated and goes to the virtual MAC (C16)";
  test(`A8.72 bridge: bridge-nf-call-iptables=${filtered}: a ClusterIP from a pod ${what}`, (t) => {
    const bed = new Bed("azure-bridge");
    const { walk, k } = bed;
    const [a, b] = [bed.pod(0), bed.pod(0)];
    const table = new ServiceTable();
    const port = table.addServicePort("dns", ip("10.0.0.10"), PROTO_UDP, 5000, false);
    walk.nf.attachServices(bed.hosts[0], table);
    table.addEndpoint(port, b.address, 5001, bed.hosts[0]);
    k.setNsSysctl(bed.hosts[0], "net.bridge.bridge-nf-call-iptables", filtered);
    bed.tap(bed.hosts[0], a.ns, b.ns);
    bed.send(a.ns, ip("10.0.0.10"), 5000);
    const seen = bed.seen();
    const out = on(seen, "node0/eth0", "out").filter((s) => s.kind === "udp");
    const arrived = on(seen, "p1/eth0", "in").filter((s) => s.kind === "udp");
    t.is(arrived.length, filtered);
    t.is(out.length, 1 - filtered);
    if (!filtered) t.is(out[0].dst, VIRTUAL);
  });
}

// Every third NIC has the prefix 60:45:bd, which a veth can be below.
test("A8.73 bridge: azure0 takes the lowest MAC of its ports, and traffic still flows", (t) => {
  const bed = new Bed("azure-bridge", { macs: "low", skipMacs: 2 });
  const eth0 = bed.mac(bed.uplinks[0]);
  t.regex(eth0, /^60:45:bd/);
  bed.cni.setUpNode(0);
  const azure0 = bed.dev(bed.hosts[0], "azure0");
  t.is(bed.mac(azure0), eth0);
  const [a, c] = [bed.pod(0), bed.pod(1)];
  t.is(bed.mac(azure0), bed.mac(bed.cni.pods.hostDev[a.row]));
  t.is(bed.ping(a.ns, c.address), 64);
  t.is(bed.ping(bed.hosts[0], ip("10.224.0.5")), 64);
  bed.remove(a);
  t.is(bed.mac(azure0), eth0);
});

test("C8 with MACs pinned high azure0 keeps eth0's", (t) => {
  const bed = new Bed("azure-bridge", { macs: "high", skipMacs: 2 });
  for (let i = 0; i < 8; i++) bed.pod(0);
  t.is(bed.mac(bed.dev(bed.hosts[0], "azure0")), bed.mac(bed.uplinks[0]));
});

test("MACs are unicast, locally administered, and the same for the same seed", (t) => {
  const macs = (seed: number): string[] => {
    const bed = new Bed("azure-bridge", { seed });
    return Array.from({ length: 8 }, () => bed.mac(bed.cni.pods.podDev[bed.pod(0).row]));
  };
  for (const mac of macs(3)) t.is(Number.parseInt(mac.slice(0, 2), 16) & 3, 2, mac);
  t.deepEqual(macs(3), macs(3));
  t.notDeepEqual(macs(3), macs(4));
  t.is(new Set(macs(3)).size, 8);
});

test("C1 without a name the bridge is azure and the index of the NIC; hairpin can be left off", (t) => {
  const azure = { bridge: "", disableHairpinOnHostInterface: true };
  const bed = new Bed("azure-bridge", { spec: { azure } });
  bed.pod(0);
  const index = bed.k.dev.ifindex[bed.uplinks[0]];
  t.true(bed.dev(bed.hosts[0], `azure${index}`) >= 0);
  t.is(bed.k.dev.portFlags[bed.uplinks[0]] & PortFlag.HAIRPIN, 0);
});

test("E4 a bridge whose name does not begin with az has a rule of its own", (t) => {
  const rows = (bridge: string): number[] => {
    const bed = new Bed("azure-tunnel", { spec: { azure: { bridge } } });
    bed.pod(0);
    const rules = bed.walk.link.ebtables.rules.get(bed.dev(bed.hosts[0], bridge)) ?? [];
    return rules.map((rule) => rule.row);
  };
  t.deepEqual(rows("azure0"), [1, 2, 3, 4, 7]);
  t.deepEqual(rows("br0"), [1, 2, 3, 4, 4, 7]);
});

test("E7 a pod's traffic to 169.254.20.10 is handed to the host's IP stack", (t) => {
  const bed = new Bed("azure-bridge");
  const [a] = [bed.pod(0)];
  const { k } = bed;
  k.addAddress(bed.k.ns.loopback[bed.hosts[0]], ip("169.254.20.10"), 32, 0);
  t.is(bed.ping(a.ns, ip("169.254.20.10")), 64);
  const other = new Bed("azure-bridge", { spec: { azure: { ipsToRouteViaHost: [] } } });
  const b = other.pod(0);
  other.k.addAddress(other.k.ns.loopback[other.hosts[0]], ip("169.254.20.10"), 32, 0);
  t.is(other.ping(b.ns, ip("169.254.20.10")), -1);
});

test("setting a node up twice changes nothing", (t) => {
  const bed = new Bed("azure-bridge");
  bed.cni.setUpNode(0);
  const azure0 = bed.dev(bed.hosts[0], "azure0");
  const before = bed.walk.link.ebtables.rules.get(azure0)?.length;
  bed.cni.setUpNode(0);
  bed.pod(0);
  t.is(bed.walk.link.ebtables.rules.get(azure0)?.length, before);
});

test("A8.79 bridge: with the pool exhausted ADD fails and nothing remains", (t) => {
  const bed = new Bed("azure-bridge", { maxPods: 2 });
  bed.pod(0);
  bed.pod(0);
  const { walk, k } = bed;
  const azure0 = bed.dev(bed.hosts[0], "azure0");
  const ports = walk.link.bridges.portsOf(azure0).length;
  const devices = k.dev.ids.live;
  t.is(bed.tryPod(0, "late"), undefined);
  t.is(walk.link.bridges.portsOf(azure0).length, ports);
  t.is(k.dev.ids.live, devices);
  t.is(bed.cni.nodes[0].count, 2);
});

test("CHECK tells what is missing", (t) => {
  const bed = new Bed("azure-bridge");
  const a = bed.pod(0);
  const azure0 = bed.dev(bed.hosts[0], "azure0");
  t.deepEqual(bed.cni.check(a.row), []);
  bed.walk.link.ebtables.removePod(azure0, a.address);
  bed.walk.ip.neigh.remove(azure0, a.address);
  t.deepEqual(bed.cni.check(a.row), [
    "the ebtables rules of the pod are missing",
    "the neighbour entry of the pod is missing",
  ]);
  bed.walk.link.bridges.removePort(bed.cni.pods.hostDev[a.row]);
  bed.k.removeAddress(bed.cni.pods.podDev[a.row], a.address);
  bed.k.setUp(bed.cni.pods.podDev[a.row], false);
  const wrong = bed.cni.check(a.row).join("; ");
  for (const text of [/eth0 is down/, /address is missing/, /not a port of the bridge/]) t.regex(wrong, text);
});

test("the routes saved and put back are those that were there", (t) => {
  const bed = new Bed("azure-bridge");
  const { fib } = bed.walk.ip;
  const [ns] = bed.hosts;
  const extra = { ns, dst: ip("192.168.0.0"), length: 16, type: RouteType.UNICAST, dev: bed.uplinks[0] };
  fib.add({ ...extra, gateway: ip("10.224.0.9"), metric: 5 });
  bed.cni.setUpNode(0);
  const r = fib.lookup(ns, ip("192.168.1.1"));
  t.is(fib.dev[r], bed.dev(ns, "azure0"));
  t.is(formatIpv4(fib.gateway[r]), "10.224.0.9");
  t.is(fib.metric[r], 5);
});
