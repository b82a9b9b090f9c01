// The neighbour state machine over time, to the millisecond (net/core/neighbour.c, K 4.2).

import test from "ava";
import { NEIGH_UPDATE_OVERRIDE } from "../../src/ip/neigh.ts";
import { NUD_VALID, Nud } from "../../src/ip/neigh-table.ts";
import { arpFrame } from "../../src/wire/build.ts";
import { ask, datagram, HOST, Host, ip, MS, PEER, SECOND } from "./host-kit.ts";

const THERE = "10.1.0.9";
const OTHER = "02:00:00:00:01:77";

/** A router that has packets for 10.1.0.9, and the sender's own address known. */
function router(): Host {
  const host = new Host();
  host.set("net.ipv4.ip_forward", 1);
  host.neighbour("eth0", "10.0.0.9", PEER.eth0);
  return host;
}

const packet = (n = 1): Uint8Array => datagram("eth0", "10.0.0.9", THERE, { payload: `packet ${n}` });
const reply = (mac: string = PEER.eth1, dst: string = HOST.eth1): Uint8Array =>
  arpFrame({
    reply: true,
    senderMac: mac,
    senderIp: THERE,
    targetMac: dst,
    targetIp: "10.1.0.1",
    dstMac: dst,
  });

test("K4.2 resolve failure: broadcasts at 0, 1, 2 s, FAILED at 3 s, 3/1 for each packet that waited", (t) => {
  const host = router();
  host.receive("eth0", packet(1));
  host.run(SECOND / 2);
  host.receive("eth0", packet(2));
  t.is(host.nud("eth1", THERE), Nud.INCOMPLETE);
  host.run(3 * SECOND - 1);
  t.is(host.nud("eth1", THERE), Nud.INCOMPLETE);
  host.run(3 * SECOND);
  t.is(host.nud("eth1", THERE), Nud.FAILED);
  const ask = "ARP, Request who-has 10.1.0.9 tell 10.1.0.1, length 28";
  const told = "IP 10.0.0.1 > 10.0.0.9: ICMP host 10.1.0.9 unreachable, length 44";
  t.deepEqual(
    host.timeline().map((line) => line.replace(/ \(.*/, "")),
    [`0 eth1: ${ask}`, `1 eth1: ${ask}`, `2 eth1: ${ask}`, `3 eth0: ${told}`, `3 eth0: ${told}`],
  );
  // The next packet asks again at once.
  t.is(host.receive("eth0", packet(3)).length, 1);
  t.is(host.nud("eth1", THERE), Nud.INCOMPLETE);
  host.end(t);
});

test("K4.2 the answer: what waited leaves in order, the entry is REACHABLE, then STALE", (t) => {
  const host = router();
  for (let n = 1; n <= 3; n++) host.receive("eth0", packet(n));
  const out = host.receive("eth1", reply());
  t.is(out.length, 3);
  for (const line of out) t.true(line.startsWith(`eth1: ${HOST.eth1} > ${PEER.eth1}`), line);
  t.is(host.nud("eth1", THERE), Nud.REACHABLE);
  host.run(15 * SECOND);
  t.is(host.nud("eth1", THERE), Nud.REACHABLE, "15 s at least");
  host.run(45.02 * SECOND);
  t.is(host.nud("eth1", THERE), Nud.STALE, "45 s at most");
  host.end(t);
});

test("K4.2 REACHABLE and in use becomes DELAY, and DELAY confirmed REACHABLE without a probe", (t) => {
  const host = router();
  host.setDev("eth1", "base_reachable_time_ms", 2000);
  host.receive("eth0", packet());
  host.receive("eth1", reply());
  // Used all the time, but by the fast path, which does not count as use.
  for (let ms = 100; ms < 4000; ms += 100) {
    host.run(ms * MS);
    if (host.nud("eth1", THERE) === Nud.STALE) break;
    host.receive("eth0", packet());
  }
  t.is(
    host.nud("eth1", THERE),
    Nud.DELAY,
    "used within delay_first_probe_time: the first packet asked for it",
  );
  const before = host.timeline().length;
  host.receive("eth1", reply());
  t.is(host.nud("eth1", THERE), Nud.REACHABLE);
  t.is(host.timeline().length, before, "nobody was asked");
  host.end(t);
});

test("K4.2 STALE + packet: DELAY 5 s, three unicast probes a second apart, FAILED at 8 s", (t) => {
  const host = router();
  host.neighbour("eth1", THERE, PEER.eth1, Nud.STALE);
  host.run(10 * SECOND);
  t.is(host.receive("eth0", packet()).length, 1, "the packet goes out at once");
  t.is(host.nud("eth1", THERE), Nud.DELAY);
  host.run(15 * SECOND - 1);
  t.is(host.nud("eth1", THERE), Nud.DELAY);
  host.run(15 * SECOND);
  t.is(host.nud("eth1", THERE), Nud.PROBE);
  t.is(host.receive("eth0", packet()).length, 1, "packets still use the old address");
  host.run(18 * SECOND - 1);
  t.is(host.nud("eth1", THERE), Nud.PROBE);
  host.run(18 * SECOND);
  t.is(host.nud("eth1", THERE), Nud.FAILED);
  const probes = host.timeline().filter((line) => line.includes("who-has"));
  t.deepEqual(
    probes.map((line) => line.split(" ")[0]),
    ["15", "16", "17"],
  );
  const { capture } = host.k;
  for (let i = 0; i < capture.count; i++) {
    const b = host.bytes(i);
    if (b[12] !== 8 || b[13] !== 6) continue;
    t.deepEqual([...b.subarray(0, 6)], [2, 0, 0, 0, 1, 0x99], "unicast");
    t.deepEqual([...b.subarray(32, 38)], [0, 0, 0, 0, 0, 0], "the target address in the body stays zero");
  }
  host.end(t);
});

test("K4.2 a probe that is answered makes the entry REACHABLE", (t) => {
  const host = router();
  host.neighbour("eth1", THERE, PEER.eth1, Nud.STALE);
  host.receive("eth0", packet());
  host.run(6.5 * SECOND);
  host.receive("eth1", reply());
  t.is(host.nud("eth1", THERE), Nud.REACHABLE);
  host.run(9 * SECOND);
  t.is(host.timeline().filter((line) => line.includes("who-has")).length, 2, "at 5 and 6 s");
  host.end(t);
});

test("timers follow retrans_time_ms, delay_first_probe_time, ucast_ and mcast_solicit", (t) => {
  const host = router();
  host.setDev("eth1", "retrans_time_ms", 250);
  host.setDev("eth1", "delay_first_probe_time", 2);
  host.setDev("eth1", "ucast_solicit", 1);
  host.setDev("eth1", "mcast_solicit", 4);
  host.setDev("eth1", "mcast_resolicit", 2);
  host.receive("eth0", packet());
  host.run(0.999 * SECOND);
  t.is(host.nud("eth1", THERE), Nud.INCOMPLETE);
  host.run(SECOND);
  t.is(host.nud("eth1", THERE), Nud.FAILED, "four broadcasts, 250 ms apart");
  host.neighbour("eth1", "10.1.0.8", OTHER, Nud.STALE);
  host.receive("eth0", datagram("eth0", "10.0.0.9", "10.1.0.8"));
  host.run(10 * SECOND);
  const later = host.timeline().filter((line) => line.includes("who-has 10.1.0.8"));
  t.deepEqual(
    later.map((line) => Number(line.split(" ")[0])),
    [3, 3.25, 3.5],
    "one unicast, two broadcasts",
  );
  host.end(t);
});

test("mcast_solicit 0: nobody is asked, and the packet is lost at once", (t) => {
  const host = router();
  host.setDev("eth1", "mcast_solicit", 0);
  t.deepEqual(host.receive("eth0", packet()), []);
  t.is(host.nud("eth1", THERE), Nud.FAILED);
  t.deepEqual(host.drops(), ["NEIGH_FAILED"]);
  host.end(t);
});

test("K4.2 queued by bytes: unres_qlen_bytes, the oldest gives way", (t) => {
  const host = router();
  // 8 bytes of text cost 768 of truesize.
  host.setDev("eth1", "unres_qlen_bytes", 3 * 768);
  for (let n = 1; n <= 5; n++) host.receive("eth0", packet(n));
  t.deepEqual(host.drops(), ["NEIGH_QUEUEFULL", "NEIGH_QUEUEFULL"]);
  host.receive("eth1", reply());
  const last = [-3, -2, -1].map((i) => Buffer.from(host.bytes(i).slice(42)).toString());
  t.deepEqual(last, ["packet 3", "packet 4", "packet 5"]);
  host.end(t);
});

interface Update {
  what: string;
  from: number;
  mac: string;
  to: number;
  override?: boolean;
  state: number;
  moved: boolean;
}

// neigh_update: the state and address an entry has after an ARP packet.
const UPDATES: Update[] = [
  {
    what: "unknown, answered",
    from: Nud.INCOMPLETE,
    mac: PEER.eth1,
    to: Nud.REACHABLE,
    state: 2,
    moved: true,
  },
  { what: "unknown, seen", from: Nud.NONE, mac: PEER.eth1, to: Nud.STALE, state: 4, moved: true },
  { what: "failed, seen", from: Nud.FAILED, mac: PEER.eth1, to: Nud.STALE, state: 4, moved: true },
  { what: "stale, answered", from: Nud.STALE, mac: PEER.eth1, to: Nud.REACHABLE, state: 2, moved: false },
  {
    what: "reachable, seen with the same MAC",
    from: Nud.REACHABLE,
    mac: PEER.eth1,
    to: Nud.STALE,
    state: 2,
    moved: false,
  },
  { what: "reachable, another MAC", from: Nud.REACHABLE, mac: OTHER, to: Nud.STALE, state: 2, moved: false },
  {
    what: "reachable, another MAC, override",
    from: Nud.REACHABLE,
    mac: OTHER,
    to: Nud.STALE,
    override: true,
    state: 4,
    moved: true,
  },
  {
    what: "stale, another MAC, no override",
    from: Nud.STALE,
    mac: OTHER,
    to: Nud.REACHABLE,
    state: 4,
    moved: false,
  },
  {
    what: "permanent, another MAC, override",
    from: Nud.PERMANENT,
    mac: OTHER,
    to: Nud.REACHABLE,
    override: true,
    state: 0x80,
    moved: false,
  },
];

for (const u of UPDATES) {
  test(`neigh_update: ${u.what}`, (t) => {
    const host = router();
    const { neigh } = host.walk.ip;
    const { table } = neigh;
    const n = table.create(host.eth1, ip(THERE));
    table.state[n] = u.from;
    if (u.from & NUD_VALID) {
      table.macHi[n] = 0x0200;
      table.macLo[n] = 0x0199;
    }
    neigh.update(n, 0x0200, u.mac === OTHER ? 0x0177 : 0x0199, u.to, u.override ? NEIGH_UPDATE_OVERRIDE : 0);
    t.is(table.state[n], u.state);
    t.is(table.macLo[n], u.moved ? (u.mac === OTHER ? 0x0177 : 0x0199) : 0x0199);
    host.end(t);
  });
}

test("an entry that goes with its device takes what waits along", (t) => {
  const host = router();
  host.receive("eth0", packet());
  host.k.setUp(host.eth1, false);
  t.is(host.nud("eth1", THERE), -1);
  t.deepEqual(host.drops(), ["NEIGH_DEAD"]);
  t.is(host.k.skb.live, 0);
  host.end(t);
});

test("K4.2 nothing is announced when an interface or an address comes up", (t) => {
  const host = new Host();
  host.k.setUp(host.eth0, false);
  host.k.setUp(host.eth0, true);
  host.k.addAddress(host.eth0, ip("10.0.0.2"), 24, 0);
  t.deepEqual(host.run(10 * SECOND), []);
  host.end(t);
});

test("K4.2 who asks us is known afterwards, STALE; who is known already stays what he was", (t) => {
  const host = new Host();
  host.receive("eth0", ask("eth0", "10.0.0.9", "10.0.0.1"));
  t.is(host.nud("eth0", "10.0.0.9"), Nud.STALE);
  host.neighbour("eth0", "10.0.0.8", PEER.eth0, Nud.REACHABLE);
  host.receive("eth0", ask("eth0", "10.0.0.8", "10.0.0.1"));
  t.is(host.nud("eth0", "10.0.0.8"), Nud.REACHABLE);
  host.end(t);
});
