// The neighbour table over time: how long entries last, how much may wait, and what a changed MAC address
// costs those who have the old one.

import test from "ava";
import { defineTopology, ms, type Net, sec } from "../../src/index.ts";
import { Nud } from "../../src/ip/neigh-table.ts";
import { Kernel } from "../../src/node/kernel.ts";
import { DevKind } from "../../src/node/net-device.ts";
import { Walk } from "../../src/walk/walk.ts";

const SECOND = 1e9;

/** One kubenet node with pods a and b on cbr0, and another node. */
function twoNodes(): Net {
  return defineTopology({ seed: 7 }, (t) => {
    const subnet = t.vnet("v", { addressSpace: ["10.224.0.0/16"] }).subnet("s", "10.224.0.0/24");
    const c = t.cluster("c", { subnet, cni: "kubenet" });
    c.nodes(2);
    c.pod("a", { node: "n0" });
    c.pod("b", { node: "n0", udpSink: 9 });
  }).build();
}

/** Pings every `every` ns until `until`; the times (ns) of those that were not answered. */
function unanswered(net: Net, from: string, to: string, every: number, until: number): number[] {
  const pings = [];
  for (let at = net.now; at < until; at += every) pings.push(net.at(at).ping(from, to));
  net.run({ until: until + sec(5) });
  return pings.filter((p) => p.reply === null).map((p) => p.sentAt);
}

test("K4.2 REACHABLE lasts 15 to 45 s, evenly drawn for each device", (t) => {
  const k = new Kernel({ seed: 7, frames: 8, largeFrames: 1, frameBytes: 1600 });
  const walk = new Walk(k);
  const ns = k.addNamespace("n", -1);
  const addr = 0x0a000002;
  const devices = Array.from({ length: 600 }, (_, i) => {
    const d = k.addDevice(ns, DevKind.NIC, `eth${i}`);
    k.setUp(d, true);
    walk.ip.neigh.set(d, addr, 2, i, Nud.REACHABLE);
    return d;
  });
  const { table } = walk.ip.neigh;
  const lasted = devices.map(() => 0);
  for (let s = 1; s <= 46; s++) {
    walk.run(s * SECOND);
    for (const [i, d] of devices.entries()) {
      if (lasted[i] === 0 && table.state[table.find(d, addr)] === Nud.STALE) lasted[i] = s;
    }
  }
  t.true(
    lasted.every((s) => s >= 16 && s <= 46),
    "all between 15 and 45 s",
  );
  const thirds = [25, 35, 46].map((end, i) => lasted.filter((s) => s > 15 + 10 * i && s <= end).length);
  for (const n of thirds) t.true(n > 150 && n < 250, `600 devices fall into ${thirds}`);
  t.is(k.skb.live, 0);
});

test("K4.2 packets waiting are queued by bytes: 212,992 of truesize, then the oldest gives way", (t) => {
  const net = twoNodes();
  // Nobody has this address; each datagram costs 768 bytes, so 277 may wait.
  for (let i = 0; i < 300; i++) net.at(ms(1)).udp("a", "10.244.0.77:9", `packet ${i}`, { sourcePort: 4000 });
  net.run({ until: sec(1) });
  t.deepEqual(
    net.drops().map((d) => `${d.packets} ${d.reason}`),
    ["23 NEIGH_QUEUEFULL"],
  );
  net.run({ until: sec(4) });
  t.deepEqual(
    net.drops().map((d) => `${d.packets} ${d.reason}`),
    ["277 NEIGH_FAILED", "23 NEIGH_QUEUEFULL"],
  );
  t.is(net.walk.k.skb.live, 0);
});

test("K4.2 reused pod IP with another MAC, and no ARP from it: 8 s of outage", (t) => {
  const net = twoNodes();
  // The node gets to know b, and lets the entry grow STALE.
  net.at(ms(1)).ping("n0", "b");
  net.run({ until: sec(60) });
  const { k, link } = net.walk;
  link.setMac(net.hosts.device("b"), 0x0200, 0x0a0b0c0d);
  const lost = unanswered(net, "n0", "b", ms(500), sec(80));
  const outage = (Math.max(...lost) - sec(60)) / SECOND;
  t.is(Math.min(...lost), sec(60));
  t.true(outage >= 7.5 && outage <= 8.5, `DELAY 5 s and three probes: ${outage} s`);
  t.is(k.skb.live, 0);
});

test("K4.1 the bridge's MAC changed: pods lose it for REACHABLE, DELAY and PROBE, then ask again", (t) => {
  const net = twoNodes();
  // The old MAC is that of a's port, so a would still be heard; b is not.
  net.at(ms(1)).ping("b", "n1");
  net.run({ until: sec(1) });
  net.walk.link.setMac(net.hosts.device("n0/cbr0"), 0x0200, 0x0a0b0c0d);
  const lost = unanswered(net, "b", "n1", ms(100), sec(70));
  const outage = (Math.max(...lost) - sec(1)) / SECOND;
  t.is(Math.min(...lost), sec(1));
  // 15 to 45 s after the entry was confirmed at 0 s, 5 s, and three probes a second apart.
  t.true(outage > 14 + 8 - 0.2 && outage < 44 + 8 + 0.2, `${outage} s`);
  t.is(lost.length, Math.round(outage * 10) + 1, "without a gap");
  t.is(net.walk.k.skb.live, 0);
});
