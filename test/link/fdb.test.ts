// The forwarding database over time, and whose MAC address the bridge has.

import test from "ava";
import { FdbFlag } from "../../src/link/fdb.ts";
import { BROADCAST, datagram, Lab, mac } from "./bridge-kit.ts";

const A = mac(1);
const B = mac(2);
const SECOND = 1e9;

test("K4.1 ageing: a learned entry lasts 300 s to the nanosecond from when it was last seen", (t) => {
  const lab = new Lab(["a", "b", "e"], mac(0xbb));
  lab.send("a", datagram(A, B));
  lab.walk.run(100 * SECOND);
  lab.send("a", datagram(A, B));
  lab.walk.run(400 * SECOND - 1);
  t.deepEqual(lab.ways("b", datagram(B, A)), ["a"]);
  lab.walk.run(400 * SECOND);
  t.deepEqual(lab.ways("b", datagram(B, A)), ["e", "a"]);
  lab.end(t);
});

test("K4.1 ageing: being talked to does not keep an address, only talking does", (t) => {
  const lab = new Lab(["a", "b", "e"], mac(0xbb));
  lab.send("a", datagram(A, B));
  for (let s = 50; s < 300; s += 50) {
    lab.walk.run(s * SECOND);
    t.deepEqual(lab.ways("b", datagram(B, A)), ["a"]);
  }
  lab.walk.run(300 * SECOND);
  t.deepEqual(lab.ways("b", datagram(B, A)), ["e", "a"]);
  lab.end(t);
});

test("K4.1 ageing: the setting is the bridge's own, and 0 learns nothing", (t) => {
  const lab = new Lab(["a", "b", "e"], mac(0xbb));
  const { ageing } = lab.walk.link.fdb;
  ageing.set(lab.bridge, 3 * SECOND);
  lab.send("a", datagram(A, B));
  lab.walk.run(2.9 * SECOND);
  t.deepEqual(lab.ways("b", datagram(B, A)), ["a"]);
  lab.walk.run(3.1 * SECOND);
  t.deepEqual(lab.ways("b", datagram(B, A)), ["e", "a"]);
  ageing.set(lab.bridge, 0);
  lab.send("a", datagram(A, B));
  t.deepEqual(lab.ways("b", datagram(B, A)), ["e", "a"]);
  lab.end(t);
});

test("K4.1 entries of a port's own MAC and those set by hand do not age, and the first do not move", (t) => {
  const lab = new Lab(["a", "b", "e"], mac(0xbb));
  const { fdb } = lab.walk.link;
  fdb.insert(lab.bridge, lab.device("b"), 0x0200, 9, FdbFlag.STATIC);
  lab.walk.run(1000 * SECOND);
  t.deepEqual(lab.ways("a", datagram(A, mac(9))), ["b"]);
  // Somebody pretends to be port b, and somebody to be the static one.
  lab.send("a", datagram("02:01:00:00:00:02", BROADCAST));
  lab.send("a", datagram(mac(9), BROADCAST));
  t.deepEqual(lab.fdb(), [
    "02:00:00:00:00:01 a learned",
    "02:00:00:00:00:09 b permanent",
    "02:00:00:00:00:bb br0 permanent",
    "02:01:00:00:00:01 a permanent",
    "02:01:00:00:00:02 b permanent",
    "02:01:00:00:00:03 e permanent",
  ]);
  lab.end(t);
});

test("K4.1 learning off: the port teaches the bridge nothing", (t) => {
  const lab = new Lab(["a", "b", "e"], mac(0xbb));
  lab.port("a", "LEARNING", false);
  lab.send("a", datagram(A, B));
  t.deepEqual(lab.ways("b", datagram(B, A)), ["e", "a"]);
  lab.end(t);
});

test("K4.1 port down removes its learned entries, and only those", (t) => {
  const lab = new Lab(["a", "b", "e"], mac(0xbb));
  lab.send("a", datagram(A, B));
  lab.send("b", datagram(B, A));
  lab.k.setUp(lab.device("a"), false);
  t.false(lab.fdb().some((row) => row.startsWith(A)));
  t.true(lab.fdb().some((row) => row.startsWith(B)));
  t.true(lab.fdb().includes("02:01:00:00:00:01 a permanent"));
  t.deepEqual(lab.ways("b", datagram(B, A)), ["e"], "nothing leaves by a port that is down");
  lab.k.setUp(lab.device("a"), true);
  t.deepEqual(lab.ways("b", datagram(B, A)), ["e", "a"], "K4.1 a new port forwards at once, with STP off");
  lab.end(t);
});

test("K4.1 a port that leaves takes its own entry along, and one that is removed leaves", (t) => {
  const lab = new Lab(["a", "b", "e"], mac(0xbb));
  lab.send("a", datagram(A, B));
  lab.walk.link.bridges.removePort(lab.device("a"));
  t.false(lab.fdb().some((row) => row.includes(" a ")));
  lab.walk.link.bridges.removePort(lab.device("b"));
  lab.k.removeDevice(lab.device("b"));
  t.deepEqual(lab.fdb(), ["02:00:00:00:00:bb br0 permanent", "02:01:00:00:00:03 e permanent"]);
  lab.end(t);
});

test("K4.1 bridge MAC: lowest port MAC unless set by hand; follows port changes", (t) => {
  const lab = new Lab([]);
  const steps: [what: string, change: () => void, expected: string][] = [
    ["no port", () => {}, "00:00:00:00:00:00"],
    ["one port", () => lab.addPort("p", "06:00:00:00:00:05"), "06:00:00:00:00:05"],
    ["a higher one", () => lab.addPort("q", "fe:00:00:00:00:01"), "06:00:00:00:00:05"],
    ["a lower one", () => lab.addPort("r", "02:ff:ff:ff:ff:ff"), "02:ff:ff:ff:ff:ff"],
    // The low four bytes are compared as unsigned numbers.
    ["lower in the last bytes", () => lab.addPort("s", "02:ff:7f:ff:ff:ff"), "02:ff:7f:ff:ff:ff"],
    ["a port's MAC changes", () => lab.setMac(lab.device("q"), "02:00:00:00:00:01"), "02:00:00:00:00:01"],
    ["and back", () => lab.setMac(lab.device("q"), "fe:00:00:00:00:01"), "02:ff:7f:ff:ff:ff"],
    ["it leaves", () => lab.walk.link.bridges.removePort(lab.device("s")), "02:ff:ff:ff:ff:ff"],
    ["set by hand", () => lab.setMac(lab.bridge, "0a:00:00:00:00:0a"), "0a:00:00:00:00:0a"],
    ["a lower port now", () => lab.addPort("u", "00:00:00:00:00:01"), "0a:00:00:00:00:0a"],
  ];
  for (const [what, change, expected] of steps) {
    change();
    t.is(lab.macOf("br0"), expected, what);
    const own = lab.fdb().filter((row) => row.includes(" br0 "));
    if (what === "set by hand") t.deepEqual(own, [`${expected} br0 permanent`]);
  }
  lab.end(t);
});

test("a bridge takes the smallest MTU of its ports", (t) => {
  const lab = new Lab(["a", "b"], mac(0xbb));
  const { dev } = lab.k;
  const mtu = (name: string, value: number): void => lab.walk.link.setMtu(lab.device(name), value);
  t.is(dev.mtu[lab.bridge], 1500);
  mtu("a", 9000);
  t.is(dev.mtu[lab.bridge], 1500);
  mtu("b", 1400);
  t.is(dev.mtu[lab.bridge], 1400);
  lab.walk.link.bridges.removePort(lab.device("b"));
  t.is(dev.mtu[lab.bridge], 9000);
  lab.end(t);
});

test("the database against a plain map, ten thousand random steps", (t) => {
  const lab = new Lab(["a", "b", "e", "f"], mac(0xbb));
  const ports = ["a", "b", "e", "f"];
  const { fdb } = lab.walk.link;
  const model = new Map<number, { port: string; seen: number }>();
  const { random } = lab.k;
  let now = 0;
  for (let step = 0; step < 10_000; step++) {
    now += random.below(2) * SECOND;
    lab.walk.run(now);
    const station = random.below(64) + 0x100;
    const live = model.get(station);
    const alive = live !== undefined && live.seen + 300 * SECOND > now;
    const row = fdb.find(lab.bridge, 0x0600, station);
    t.is(row >= 0, alive);
    if (alive) t.is(lab.k.dev.name[fdb.port[row]], live.port);
    if (random.below(200) === 0) {
      const port = ports[random.below(4)];
      lab.k.setUp(lab.device(port), false);
      lab.k.setUp(lab.device(port), true);
      for (const [k, v] of model) if (v.port === port) model.delete(k);
    } else if (random.below(3) === 0) {
      const port = ports[random.below(4)];
      fdb.learn(lab.bridge, lab.device(port), 0x0600, station);
      model.set(station, { port, seen: now });
    }
  }
  lab.end(t);
});
