// `vnetem show` against what iproute2 prints on Linux for the same devices, addresses, routes and
// neighbours (linux.txt).

import test from "ava";
import { RouteType } from "../../src/ip/fib.ts";
import { Nud } from "../../src/ip/neigh-table.ts";
import { FdbFlag } from "../../src/link/fdb.ts";
import { DevKind } from "../../src/node/net-device.ts";
import { showLinks } from "../../src/observe/show-link.ts";
import { parseMac } from "../../src/wire/address.ts";
import { ip } from "./kit.ts";
import { Lab, linux } from "./linux.ts";

const MAC = "12:34:56:78:9a:bc";

const lines = (text: string, ...names: string[]): string =>
  text
    .split(/^(?=\d+: )/m)
    .filter((block) => names.some((name) => block.includes(`${name}@`)))
    .join("");

function byAddress<T>(list: T[], key: (one: T) => string): T[] {
  const number = (one: T): number => ip(key(one).split(" ")[0]!) >>> 0;
  return list.sort((x, y) => number(x) - number(y));
}

test("ip link: down, without carrier, up", (t) => {
  const lab = new Lab();
  t.is(showLinks(lab.walk, lab.n0, false), linux("down, but lo", "n0 ip link"));
  lab.up(lab.azure0, lab.azva, lab.ve0);
  t.is(showLinks(lab.walk, lab.n0, false), linux("azure0, azva and ve0 up", "n0 ip link"));
  lab.upAll();
  t.is(showLinks(lab.walk, lab.n0, false), linux("all up but ve1", "n0 ip link"));
  t.is(showLinks(lab.walk, lab.a, false), linux("all up but ve1", "a ip link"));
});

test("ip -j link: the fields ip has, and their values", (t) => {
  const lab = new Lab();
  lab.upAll();
  const wanted = JSON.parse(linux("all up but ve1", "n0 ip -j link"));
  const { stats64: _, ...first } = lab.json(lab.n0, "link")[0] as Record<string, unknown>;
  t.deepEqual(first, wanted[0]);
  for (const [i, link] of lab.json(lab.n0, "link").entries()) {
    const { stats64: _, link_netns: name, ...rest } = link as Record<string, unknown>;
    const { link_netnsid: id, ...linuxRest } = wanted[i];
    t.deepEqual(rest, linuxRest);
    t.is(name === undefined, id === undefined);
  }
});

test("ip -s link: columns as wide as their numbers", (t) => {
  const lab = new Lab();
  lab.up(lab.ve0, lab.ve1);
  lab.k.dev.rxBytes[lab.ve0] = 1851850500;
  lab.k.dev.rxPackets[lab.ve0] = 1234567;
  const wanted = linux("after 1234567 frames of 1500 bytes from ve1", "n0 ip -s link show ve0");
  t.is(lines(lab.show(lab.n0, "link"), "ve0"), wanted);
  lab.k.dev.rxBytes[lab.ve0] = 12345678901;
  t.true(lab.show(lab.n0, "link").includes("\n    12345678901 1234567      0"));
});

test("ip addr: primary addresses before secondary ones", (t) => {
  const lab = new Lab();
  lab.upAll();
  lab.addAddresses();
  t.is(lab.show(lab.n0, "addr"), linux("addresses and routes", "n0 ip -4 addr"));
  t.is(lab.show(lab.a, "addr"), linux("addresses and routes", "a ip -4 addr"));
  const wanted = JSON.parse(linux("addresses and routes", "n0 ip -j -4 addr"));
  for (const [i, link] of lab.json(lab.n0, "addr").entries()) {
    const { addr_info: found, ifname } = link as Record<string, unknown>;
    for (const address of wanted[i].addr_info) {
      delete address.valid_life_time;
      delete address.preferred_life_time;
    }
    t.is(ifname, wanted[i].ifname);
    t.deepEqual(found, wanted[i].addr_info);
  }
});

test("ip route: order, words and linkdown", (t) => {
  const lab = new Lab();
  lab.upAll();
  lab.addAddresses();
  lab.addRoutes();
  t.is(lab.show(lab.n0, "route"), linux("addresses and routes", "n0 ip -4 route"));
  t.is(lab.show(lab.a, "route"), linux("addresses and routes", "a ip -4 route"));
  t.deepEqual(lab.json(lab.n0, "route"), JSON.parse(linux("addresses and routes", "n0 ip -j -4 route")));
  lab.k.setUp(lab.peer(lab.azvb), false);
  // `ip route show dev azvb` leaves the device out.
  const [down] = lab.show(lab.n0, "route").match(/^10\.224\.128\.0.*\n/m) ?? [];
  t.is(down?.replace("dev azvb ", ""), linux("b: eth0 down", "n0 ip -4 route show dev azvb"));
  t.is(lines(showLinks(lab.walk, lab.n0, false), "azvb"), linux("b: eth0 down", "n0 ip link show azvb"));
  // The peer was up before, which a Linux device remembers in its queueing discipline.
  const peer = linux("b: eth0 down", "b ip link show eth0").replace("qdisc noqueue", "qdisc noop");
  t.is(lines(showLinks(lab.walk, lab.b, false), "eth0"), peer);
});

test("ip route: of prefixes that begin alike the longer comes first", (t) => {
  const lab = new Lab();
  lab.upAll();
  const add = { ns: lab.b, dst: 0, type: RouteType.UNICAST, dev: lab.peer(lab.azvb) };
  for (const length of [0, 8, 1]) lab.walk.ip.fib.add({ ...add, length });
  t.deepEqual(lab.show(lab.b, "route").match(/^\S+/gm), ["0.0.0.0/8", "0.0.0.0/1", "default"]);
});

test("ip neigh and bridge fdb after pings", (t) => {
  const lab = new Lab();
  lab.upAll();
  lab.addAddresses();
  lab.walk.link.fdb.insert(lab.azure0, lab.azva, 0x0200, 0x0c0c, FdbFlag.STATIC);
  lab.ping("10.224.0.36", "10.224.0.4", "10.224.0.77");
  const eth0 = lab.peer(lab.azva);
  const { hi, lo } = parseMac(MAC)!;
  lab.walk.ip.neigh.set(eth0, ip("10.224.0.99"), hi, lo, Nud.PERMANENT);
  lab.walk.ip.neigh.set(eth0, ip("10.224.0.98"), hi, lo, Nud.STALE);
  lab.walk.ip.neigh.set(eth0, ip("10.224.0.97"), hi, lo, Nud.NOARP);
  const section = "after pings from a to 10.224.0.36, 10.224.0.4 and nobody";
  // Linux lists neighbours in the order of a randomly seeded hash table.
  t.is(lab.show(lab.a, "neigh"), byAddress(linux(section, "a ip -4 neigh").split(/^/m), String).join(""));
  const json4 = JSON.parse(linux(section, "a ip -j -4 neigh"));
  t.deepEqual(
    lab.json(lab.a, "neigh"),
    byAddress(json4, (n: { dst: string }) => n.dst),
  );
  const fdb = linux(section, "n0 bridge fdb show br azure0").replace(/^.* self permanent\n/gm, "");
  t.is(lab.show(lab.n0, "fdb"), fdb);
  const json = JSON.parse(linux(section, "n0 bridge -j fdb show br azure0"));
  t.deepEqual(
    lab.json(lab.n0, "fdb"),
    json.filter((e: { flags: string[] }) => !e.flags.includes("self")),
  );
  lab.walk.run(3.2e9);
  const [failed] = lab.show(lab.a, "neigh").match(/^10\.224\.0\.77.*\n/m) ?? [];
  t.is(failed, linux("three seconds later", "a ip -4 neigh show 10.224.0.77"));
  lab.walk.run(400e9);
  t.false(lab.show(lab.n0, "fdb").includes("02:00:00:00:0a:02"), "aged out");
  t.is(lab.k.skb.live, 0);
});

test("a NIC has carrier when it is plugged in", (t) => {
  const lab = new Lab();
  const nic = lab.k.addDevice(lab.n0, DevKind.NIC, "eth0");
  lab.up(nic);
  t.regex(lab.show(lab.n0, "link"), /eth0: <NO-CARRIER,BROADCAST,MULTICAST,UP> .* qdisc mq state DOWN/);
  const { vnet } = lab.walk;
  const row = vnet.addVnet("prod");
  vnet.addAddressSpace(row, ip("10.0.0.0"), 8);
  vnet.addNic(vnet.addSubnet(row, "nodes", ip("10.1.0.0"), 16), 0, nic);
  t.regex(lab.show(lab.n0, "link"), /eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> .* state UP/);
});

test("nothing to show is an empty text", (t) => {
  const lab = new Lab();
  for (const what of ["route", "neigh", "fdb", "conntrack", "nat"] as const) {
    t.is(lab.show(lab.b, what), "", what);
    t.deepEqual(lab.json(lab.b, what), [], what);
  }
});
