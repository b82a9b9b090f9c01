// azure-vnet in transparent mode, and overlay on top of it (azure.md 5.6, statements 74-76).

import { createHash } from "node:crypto";
import test from "ava";
import { endpointId } from "../../../src/cni/names.ts";
import { sha1Hex } from "../../../src/cni/sha1.ts";
import { RouteProtocol, RouteType } from "../../../src/ip/fib.ts";
import { Nud } from "../../../src/ip/neigh-table.ts";
import { devSysctl } from "../../../src/node/sysctl.ts";
import { formatCidr, formatIpv4 } from "../../../src/wire/address.ts";
import { Bed, ip } from "../testbed.ts";

for (const mode of ["azure-transparent", "azure-overlay"] as const) {
  test(`A8.74 ${mode}: no bridge; a host route to azv..., aa:aa:aa:aa:aa:aa, proxy_arp`, (t) => {
    const bed = new Bed(mode);
    const a = bed.pod(0);
    const { k, walk } = bed;
    const [ns] = bed.hosts;
    t.is(bed.dev(ns, "azure0"), -1);
    t.is(k.dev.master[bed.uplinks[0]], -1);
    t.true(k.inet.firstOf(bed.uplinks[0]) >= 0);
    const r = walk.ip.fib.lookup(ns, a.address);
    const veth = bed.cni.pods.hostDev[a.row];
    t.is(walk.ip.fib.dev[r], veth);
    t.is(walk.ip.fib.length[r], 32);
    t.is(walk.ip.fib.protocol[r], RouteProtocol.STATIC);
    t.regex(k.dev.name[veth], /^azv[0-9a-f]{11}$/);
    t.is(bed.mac(veth), "aa:aa:aa:aa:aa:aa");
    t.is(k.devValue(veth, devSysctl("proxy_arp")), 1);
    t.is(k.devValue(veth, devSysctl("forwarding")), 1);
  });

  test(`A8.75 ${mode}: the pod routes to 169.254.1.1 and default only; one TTL is lost`, (t) => {
    const bed = new Bed(mode);
    const [a, b] = [bed.pod(0), bed.pod(0)];
    const { fib, neigh } = bed.walk.ip;
    const podDev = bed.cni.pods.podDev[a.row];
    const routes: string[] = [];
    for (let r = fib.firstOfDevice(podDev); r >= 0; r = fib.nextOfDevice(r)) {
      if (fib.type[r] !== RouteType.UNICAST) continue;
      routes.push(`${formatCidr(fib.dst[r], fib.length[r])} via ${formatIpv4(fib.gateway[r])}`);
    }
    t.deepEqual(routes.sort(), ["0.0.0.0/0 via 169.254.1.1", "169.254.1.1/32 via 0.0.0.0"]);
    const n = neigh.table.find(podDev, ip("169.254.1.1"));
    t.is(neigh.table.state[n], Nud.PROBE);
    t.is(bed.ping(a.ns, b.address), 63);
    t.is(neigh.table.state[n], Nud.REACHABLE, "proxy_arp confirmed it (C26)");
  });

  test(`${mode}: pods reach each other, both nodes and pods elsewhere; the pod's address is kept`, (t) => {
    const bed = new Bed(mode);
    const [a, c] = [bed.pod(0), bed.pod(1)];
    t.is(bed.ping(a.ns, c.address), 62);
    t.is(bed.ping(a.ns, ip("10.224.0.4")), 64);
    t.is(bed.ping(a.ns, ip("10.224.0.5")), 63);
    t.is(bed.ping(bed.hosts[0], c.address), 63);
    t.deepEqual(bed.udp(a.ns, c.address, c.ns), { from: formatIpv4(a.address), ttl: 62 });
    t.is(bed.k.skb.live, 0);
  });

  test(`C28 ${mode}: DEL removes the host route; the veth goes with the namespace`, (t) => {
    const bed = new Bed(mode);
    const [a, b] = [bed.pod(0), bed.pod(0)];
    const veth = bed.k.dev.name[bed.cni.pods.hostDev[b.row]];
    bed.cni.detach(b.row);
    const { fib } = bed.walk.ip;
    t.not(fib.length[fib.lookup(bed.hosts[0], b.address)], 32);
    t.true(bed.dev(bed.hosts[0], veth) >= 0);
    bed.k.removeNamespace(b.ns);
    t.is(bed.dev(bed.hosts[0], veth), -1);
    t.is(bed.ping(a.ns, b.address), -1);
  });
}

test("A8.86 overlay: a pod on another node sees the pod's own address", (t) => {
  const bed = new Bed("azure-overlay");
  const [a, c] = [bed.pod(0), bed.pod(1)];
  t.is(formatIpv4(a.address), "10.244.0.4");
  t.is(formatIpv4(c.address), "10.244.1.4");
  t.is(bed.udp(a.ns, c.address, c.ns)?.from, "10.244.0.4");
});

test("A8.76 the veth's name is azv and eleven digits of the SHA-1 of namespace.name", (t) => {
  const bed = new Bed("azure-transparent");
  const a = bed.pod(0, "web-7");
  const wanted = createHash("sha1").update("default.web-7").digest("hex").slice(0, 11);
  t.is(bed.k.dev.name[bed.cni.pods.hostDev[a.row]], `azv${wanted}`);
});

test("5.7 a recreated pod gets the same name in transparent mode, another one in bridge mode", (t) => {
  const names = (mode: "azure-bridge" | "azure-transparent"): string[] => {
    const bed = new Bed(mode);
    const name = (): string => {
      const a = bed.pod(0, "web-0");
      const veth = bed.k.dev.name[bed.cni.pods.hostDev[a.row]];
      bed.remove(a);
      return veth;
    };
    return [name(), name()];
  };
  const [first, second] = names("azure-transparent");
  t.is(first, second);
  const [one, two] = names("azure-bridge");
  t.not(one, two);
});

test("C21 a stale veth of the same name is deleted first", (t) => {
  const bed = new Bed("azure-transparent");
  const stale = bed.pod(0, "web-0");
  const fresh = bed.pod(0, "web-0");
  t.is(bed.dev(stale.ns, "eth0"), -1);
  t.deepEqual(bed.cni.check(fresh.row), []);
  t.not(bed.cni.check(stale.row).length, 0);
  t.is(bed.ping(bed.hosts[0], fresh.address), 64);
  bed.remove(stale);
  t.deepEqual(bed.cni.check(fresh.row), [], "DEL of the old one leaves the new one alone");
});

test("C22 both ends have the MTU of the NIC", (t) => {
  const bed = new Bed("azure-transparent");
  bed.k.dev.mtu[bed.uplinks[0]] = 1400;
  const a = bed.pod(0);
  t.is(bed.k.dev.mtu[bed.cni.pods.hostDev[a.row]], 1400);
  t.is(bed.k.dev.mtu[bed.cni.pods.podDev[a.row]], 1400);
});

test("A8.79 transparent: with the pool exhausted ADD fails and nothing remains", (t) => {
  const bed = new Bed("azure-transparent", { maxPods: 1 });
  bed.pod(0);
  const devices = bed.k.dev.ids.live;
  const routes = bed.walk.ip.fib.rows.live;
  t.is(bed.tryPod(0, "late"), undefined);
  t.is(bed.k.dev.ids.live, devices);
  t.is(bed.walk.ip.fib.rows.live, routes);
});

test("CHECK tells what is missing", (t) => {
  const bed = new Bed("azure-transparent");
  const a = bed.pod(0);
  t.deepEqual(bed.cni.check(a.row), []);
  const veth = bed.cni.pods.hostDev[a.row];
  bed.k.setDevSysctl(veth, "proxy_arp", 0);
  bed.walk.ip.fib.remove(bed.hosts[0], a.address, 32, veth, 0);
  bed.walk.ip.fib.remove(a.ns, ip("169.254.1.1"), 32, -1, 0);
  bed.walk.ip.fib.remove(a.ns, 0, 0, -1, 0);
  t.deepEqual(bed.cni.check(a.row), [
    "the host's route is missing",
    `proxy_arp is off on ${bed.k.dev.name[veth]}`,
    "the pod's route to its gateway is missing",
  ]);
  bed.k.removeNamespace(a.ns);
  t.deepEqual(bed.cni.check(a.row), ["interface eth0 is missing"]);
});

test("SHA-1 is SHA-1", (t) => {
  const texts = ["", "abc", "default.web-0", "ä€😀".repeat(9)];
  for (let n = 50; n < 70; n++) texts.push("x".repeat(n));
  for (let n = 115; n < 132; n++) texts.push("y".repeat(n));
  for (const text of texts) t.is(sha1Hex(text), createHash("sha1").update(text).digest("hex"), text);
});

test("5.7 endpoint ids", (t) => {
  t.is(endpointId("0123456789abcdef", "eth0"), "01234567-eth0");
  t.is(endpointId("01234567", "eth0"), "");
});
