// ARP: who is answered, who is learned from, and what a question looks like (net/ipv4/arp.c, K 4.2).

import test from "ava";
import { RouteType } from "../../src/ip/fib.ts";
import { Nud } from "../../src/ip/neigh-table.ts";
import { type ArpFrame, arpFrame } from "../../src/wire/build.ts";
import { ask, datagram, HOST, Host, ip, PEER, SECOND } from "./host-kit.ts";

interface Question {
  what: string;
  /** arp_ignore of eth0. */
  ignore?: number;
  sender?: string;
  target: string;
  set?: (host: Host) => void;
  odd?: Partial<ArpFrame>;
  answered: boolean;
}

const OWN = "10.0.0.1";
const OTHER_OWN = "10.1.0.1";

const QUESTIONS: Question[] = [
  { what: "its own address", target: OWN, answered: true },
  { what: "unicast request", target: OWN, odd: { dstMac: HOST.eth0 }, answered: true },
  { what: "to another host's MAC", target: OWN, odd: { dstMac: "02:00:00:00:00:77" }, answered: false },
  { what: "owns on another interface, arp_ignore 0", target: OTHER_OWN, answered: true },
  { what: "owns on another interface, arp_ignore 1", ignore: 1, target: OTHER_OWN, answered: false },
  { what: "its own, arp_ignore 1", ignore: 1, target: OWN, answered: true },
  { what: "its own, from the subnet, arp_ignore 2", ignore: 2, target: OWN, answered: true },
  {
    what: "its own, sender IP is off-subnet, arp_ignore 2",
    ignore: 2,
    sender: "10.1.0.9",
    target: OWN,
    answered: false,
  },
  {
    what: "a second subnet's address, sender on it, arp_ignore 2",
    ignore: 2,
    sender: "10.3.0.9",
    target: "10.3.0.1",
    set: (h) => h.k.addAddress(h.eth0, ip("10.3.0.1"), 24, 0),
    answered: true,
  },
  {
    what: "a second subnet's address, sender on the first, arp_ignore 2",
    ignore: 2,
    target: "10.3.0.1",
    set: (h) => h.k.addAddress(h.eth0, ip("10.3.0.1"), 24, 0),
    answered: false,
  },
  { what: "its own, arp_ignore 8", ignore: 8, target: OWN, answered: false },
  { what: "sender IP is off-subnet", sender: "192.0.2.9", target: OWN, answered: true },
  { what: "probe with sender 0.0.0.0", sender: "0.0.0.0", target: OWN, answered: true },
  { what: "probe for another interface's address", sender: "0.0.0.0", target: OTHER_OWN, answered: true },
  {
    what: "probe, arp_ignore 1, of another interface's",
    ignore: 1,
    sender: "0.0.0.0",
    target: OTHER_OWN,
    answered: false,
  },
  { what: "probe for a stranger", sender: "0.0.0.0", target: "10.0.0.77", answered: false },
  { what: "a stranger", target: "10.0.0.77", answered: false },
  { what: "loopback", target: "127.0.0.1", answered: false },
  {
    what: "loopback with route_localnet",
    target: "127.0.0.1",
    set: (h) => h.setDev("eth0", "route_localnet", 1),
    answered: true,
  },
  { what: "multicast", target: "224.0.0.1", answered: false },
  { what: "sender is a martian", sender: "255.255.255.255", target: OWN, answered: false },
  {
    what: "its own, but rp_filter says the sender is elsewhere",
    sender: "10.1.0.9",
    target: OWN,
    set: strict,
    answered: false,
  },
  { what: "arp_filter, the way back is here", set: filtered, target: OWN, answered: true },
  {
    what: "arp_filter, the way back is by the other side",
    set: filtered,
    sender: "10.1.0.9",
    target: OWN,
    answered: false,
  },
];

function strict(host: Host): void {
  host.setDev("eth0", "rp_filter", 1);
}

function filtered(host: Host): void {
  host.setDev("eth0", "arp_filter", 1);
}

for (const q of QUESTIONS) {
  test(`K4.2 ARP request: ${q.what}: ${q.answered ? "answered" : "silent"}`, (t) => {
    const host = new Host();
    host.setDev("eth0", "arp_ignore", q.ignore ?? 0);
    q.set?.(host);
    const out = host.receive("eth0", ask("eth0", q.sender ?? "10.0.0.9", q.target, q.odd));
    t.is(out.length, q.answered ? 1 : 0);
    if (q.answered) {
      t.true(out[0]?.startsWith(`eth0: ${HOST.eth0} > ${PEER.eth0}, `), out[0]);
      t.true(out[0]?.includes(`Reply ${q.target} is-at ${HOST.eth0}`), out[0]);
    }
    host.end(t);
  });
}

test("all's half of arp_ignore counts, the larger wins", (t) => {
  const host = new Host();
  host.set("net.ipv4.conf.all.arp_ignore", 1);
  t.deepEqual(host.receive("eth0", ask("eth0", "10.0.0.9", OTHER_OWN)), []);
  host.end(t);
});

interface Proxy {
  what: string;
  target: string;
  set?: (host: Host) => void;
  answered: boolean;
}

const PROXIES: Proxy[] = [
  { what: "request for a remote address, proxy_arp=0", target: "10.1.0.9", answered: false },
  { what: "request for a remote address, proxy_arp=1", target: "10.1.0.9", set: proxy, answered: true },
  { what: "proxy_arp of all", target: "10.1.0.9", set: (h) => proxyAll(h), answered: true },
  {
    what: "proxy_arp, but the host does not forward",
    target: "10.1.0.9",
    set: (h) => {
      proxy(h);
      h.set("net.ipv4.ip_forward", 0);
    },
    answered: false,
  },
  { what: "target reachable through the same interface", target: "10.0.0.77", set: proxy, answered: false },
  { what: "no route to the target", target: "192.0.2.1", set: proxy, answered: false },
];

function proxy(host: Host): void {
  host.setDev("eth0", "proxy_arp", 1);
}

function proxyAll(host: Host): void {
  host.set("net.ipv4.conf.all.proxy_arp", 1);
}

for (const p of PROXIES) {
  test(`K4.2 ${p.what}: ${p.answered ? "answered after 0 to 0.8 s" : "silent"}`, (t) => {
    const delays: number[] = [];
    const host = new Host();
    host.set("net.ipv4.ip_forward", 1);
    p.set?.(host);
    for (let i = 0; i < 20; i++) {
      const at = i * SECOND;
      host.run(at);
      t.deepEqual(host.receive("eth0", ask("eth0", "10.0.0.9", p.target)), [], "not at once");
      const out = host.run(at + 0.8 * SECOND);
      t.is(out.length, p.answered ? 1 : 0);
      const line = host.timeline().at(-1);
      if (line !== undefined) delays.push(Number(line.split(" ")[0]) - i);
    }
    if (p.answered) {
      t.true(Math.min(...delays) < 0.2 && Math.max(...delays) > 0.6, `${delays}`);
      // A unicast request, and proxy_delay 0, are answered at once.
      t.is(host.receive("eth0", ask("eth0", "10.0.0.9", p.target, { dstMac: HOST.eth0 })).length, 1);
      host.setDev("eth0", "proxy_delay", 0);
      t.is(host.receive("eth0", ask("eth0", "10.0.0.9", p.target)).length, 1);
    }
    host.end(t);
  });
}

interface Lesson {
  what: string;
  /** State of the entry for 10.0.0.9 before, none when absent; it has the MAC …:55. */
  before?: number;
  accept?: number;
  /** Seconds since the entry last changed. */
  age?: number;
  frame: Partial<ArpFrame>;
  after: number;
  moved?: boolean;
}

const OLD = "02:00:00:00:00:55";
const gratuitous: Partial<ArpFrame> = { senderIp: "10.0.0.9", targetIp: "10.0.0.9" };
const toUs: Partial<ArpFrame> = {
  reply: true,
  senderIp: "10.0.0.9",
  targetIp: OWN,
  targetMac: HOST.eth0,
  dstMac: HOST.eth0,
};
const announced: Partial<ArpFrame> = {
  ...gratuitous,
  reply: true,
  targetMac: PEER.eth0,
  dstMac: "ff:ff:ff:ff:ff:ff",
};

const LESSONS: Lesson[] = [
  { what: "gratuitous request, unknown sender", frame: gratuitous, after: -1 },
  { what: "gratuitous reply, unknown sender", frame: announced, after: -1 },
  { what: "unsolicited unicast reply, unknown", frame: toUs, after: -1 },
  {
    what: "gratuitous request, unknown sender, arp_accept",
    accept: 1,
    frame: gratuitous,
    after: Nud.STALE,
    moved: true,
  },
  {
    what: "unsolicited unicast reply, arp_accept",
    accept: 1,
    frame: toUs,
    after: Nud.REACHABLE,
    moved: true,
  },
  {
    what: "request for somebody else, unknown, arp_accept",
    accept: 1,
    frame: { senderIp: "10.0.0.9", targetIp: "10.0.0.7" },
    after: -1,
  },
  {
    what: "gratuitous ARP for a known entry, within locktime",
    before: Nud.REACHABLE,
    frame: gratuitous,
    after: Nud.STALE,
    moved: true,
  },
  { what: "gratuitous reply, known", before: Nud.REACHABLE, frame: announced, after: Nud.STALE, moved: true },
  {
    what: "reply about itself with another target MAC, within locktime",
    before: Nud.REACHABLE,
    frame: { ...announced, targetMac: HOST.eth0 },
    after: Nud.REACHABLE,
    moved: false,
  },
  {
    what: "the same after locktime",
    before: Nud.REACHABLE,
    age: 1.001,
    frame: { ...announced, targetMac: HOST.eth0 },
    after: Nud.STALE,
    moved: true,
  },
  {
    what: "unicast reply, another MAC, within locktime",
    before: Nud.STALE,
    frame: toUs,
    after: Nud.STALE,
    moved: false,
  },
  {
    what: "unicast reply, another MAC, at the end of locktime",
    before: Nud.STALE,
    age: 1,
    frame: toUs,
    after: Nud.STALE,
    moved: false,
  },
  {
    what: "unicast reply, another MAC, after locktime",
    before: Nud.STALE,
    age: 1.001,
    frame: toUs,
    after: Nud.REACHABLE,
    moved: true,
  },
  {
    what: "request for somebody else, another MAC, after locktime",
    before: Nud.REACHABLE,
    age: 2,
    frame: { senderIp: "10.0.0.9", targetIp: "10.0.0.7" },
    after: Nud.STALE,
    moved: true,
  },
  {
    what: "permanent entry",
    before: Nud.PERMANENT,
    age: 9,
    frame: gratuitous,
    after: Nud.PERMANENT,
    moved: false,
  },
];

for (const l of LESSONS) {
  test(`K4.2 learning: ${l.what}`, (t) => {
    const host = new Host();
    host.setDev("eth0", "arp_accept", l.accept ?? 0);
    if (l.before !== undefined) host.neighbour("eth0", "10.0.0.9", OLD, l.before);
    host.run((l.age ?? 0) * SECOND);
    const base = { senderMac: PEER.eth0, senderIp: "10.0.0.9", targetIp: OWN };
    t.deepEqual(host.receive("eth0", arpFrame({ ...base, ...l.frame })), []);
    t.is(host.nud("eth0", "10.0.0.9"), l.after);
    if (l.after >= 0) {
      const { table } = host.walk.ip.neigh;
      const n = table.find(host.eth0, ip("10.0.0.9"));
      t.is(table.macLo[n] & 0xff, l.moved === true ? 0x99 : 0x55);
    }
    host.end(t);
  });
}

test("what an ARP request says of its sender: arp_announce 0, 1 and 2", (t) => {
  // The packet that waits comes from our other address, or from the second of this subnet.
  const rows: [announce: number, from: string, tells: string][] = [
    [0, OTHER_OWN, OTHER_OWN],
    [1, OTHER_OWN, OWN],
    [2, OTHER_OWN, OWN],
    [0, "10.0.0.2", "10.0.0.2"],
    [1, "10.0.0.2", "10.0.0.2"],
    [2, "10.0.0.2", OWN],
    [0, "192.0.2.9", OWN],
  ];
  for (const [announce, from, tells] of rows) {
    const host = new Host();
    host.k.addAddress(host.eth0, ip("10.0.0.2"), 24, 0);
    host.setDev("eth0", "arp_announce", announce);
    host.set("net.ipv4.ip_forward", 1);
    host.setDev("eth1", "accept_local", 1);
    host.neighbour("eth1", "10.1.0.9", PEER.eth1);
    const out = host.receive("eth1", datagram("eth1", from, "10.0.0.77"));
    t.true(out[0]?.includes(`who-has 10.0.0.77 tell ${tells},`), `${announce} ${from}: ${out[0]}`);
    host.end(t);
  }
});

test("a packet for a gateway asks for the gateway", (t) => {
  const host = new Host();
  host.set("net.ipv4.ip_forward", 1);
  const way = { ns: host.ns, dst: ip("192.0.2.0"), length: 24, type: RouteType.UNICAST, dev: host.eth1 };
  host.walk.ip.fib.add({ ...way, gateway: ip("10.1.0.254") });
  const out = host.receive("eth0", datagram("eth0", "10.0.0.9", "192.0.2.1"));
  t.true(out[0]?.includes("who-has 10.1.0.254 tell 10.1.0.1"), out[0]);
  host.end(t);
});
