// Connection tracking: UDP, ICMP and generic timelines, INVALID, references, the full table.

import test, { type ExecutionContext } from "ava";
import { IPS_ASSURED } from "../../src/netfilter/enums.ts";
import { A_PACKETS, ACCT, R_STATUS, REC, ST_EARLY_DROP, STATS } from "../../src/netfilter/nf-conn.ts";
import { icmpErrorFrame, ipPacketOf, udpFrame } from "../../src/wire/build.ts";
import { TCP_ACK, TCP_FIN, TCP_SYN } from "../../src/wire/tcp.ts";
import { cidr, ip, Lab } from "./lab.ts";

function router(): Lab {
  const lab = new Lab();
  lab.nf.enable(lab.ns);
  return lab;
}

const A = "10.244.1.2:4000";
const B = "10.244.2.2:53";

function ask(t: ExecutionContext, lab: Lab): string {
  t.is(lab.end(t, lab.forward(lab.udp(A, B))), `${A} > ${B}`);
  return lab.list()[0];
}

function answer(t: ExecutionContext, lab: Lab): string {
  t.is(lab.end(t, lab.forward(lab.udp(B, A))), `${B} > ${A}`);
  return lab.list()[0];
}

const left = (line: string): string => line.split(" ")[1] + (line.includes("[ASSURED]") ? " assured" : "");

test("K3.4 UDP: 30 s; the reply keeps 30; after 2 s a replied flow becomes a stream of 120 s", (t) => {
  const lab = router();
  t.is(ask(t, lab), `udp 30 ${A}>${B} [UNREPLIED] ${B}>${A}`);
  t.is(answer(t, lab), `udp 30 ${A}>${B} ${B}>${A}`);
  lab.wait(1);
  t.is(left(ask(t, lab)), "30");
  lab.wait(1);
  t.is(left(answer(t, lab)), "30", "exactly two seconds are not more than two");
  lab.wait(0.5);
  t.is(left(ask(t, lab)), "120 assured");
  lab.wait(120);
  t.deepEqual(lab.list(), []);
  lab.close(t);
});

test("K3.4 one-way UDP stays at 30 s and UNREPLIED however long it lasts", (t) => {
  const lab = router();
  for (let i = 0; i < 10; i++) {
    t.is(ask(t, lab), `udp 30 ${A}>${B} [UNREPLIED] ${B}>${A}`);
    lab.wait(20);
  }
  lab.wait(11);
  t.deepEqual(lab.list(), []);
  lab.close(t);
});

test("K3.4 an ICMP unreachable answer does not count as a reply and does not renew", (t) => {
  const lab = router();
  ask(t, lab);
  lab.wait(10);
  const quote = ipPacketOf(udpFrame({ src: "10.244.1.2", dst: "10.244.2.2", sport: 4000, dport: 53 }));
  const error = icmpErrorFrame({ src: "10.244.2.2", dst: "10.244.1.2", type: 3, code: 3, quote });
  const f = lab.forward(lab.frame(error));
  t.is(lab.k.skb.ctinfo[f], 4, "RELATED, reply direction");
  lab.end(t, f);
  t.is(lab.list()[0], `udp 20 ${A}>${B} [UNREPLIED] ${B}>${A}`);
  lab.close(t);
});

test("ctinfo as enum ip_conntrack_info: NEW 2, ESTABLISHED_REPLY 3, ESTABLISHED 0", (t) => {
  const lab = router();
  const info = (f: number): number => {
    const seen = lab.k.skb.ctinfo[f];
    lab.k.consume(lab.post(f));
    return seen;
  };
  t.is(info(lab.pre(lab.udp(A, B))), 2);
  t.is(info(lab.pre(lab.udp(A, B))), 2);
  t.is(info(lab.pre(lab.udp(B, A))), 3);
  t.is(info(lab.pre(lab.udp(A, B))), 0);
  lab.close(t);
});

test("packets and bytes are counted per direction", (t) => {
  const lab = router();
  lab.end(t, lab.forward(lab.udp(A, B, 10)));
  lab.end(t, lab.forward(lab.udp(B, A, 100)));
  lab.end(t, lab.forward(lab.udp(A, B, 12)));
  const a = A_PACKETS;
  t.deepEqual([...lab.nf.t.acct.slice(a, a + 4)], [2, 38 + 40, 1, 128]);
  t.is(ACCT, A_PACKETS + 4);
  lab.close(t);
});

test("K3.4 ICMP: requests are NEW for 30 s, replies to nobody INVALID; the id is the port", (t) => {
  const lab = router();
  lab.end(t, lab.forward(lab.echo("10.244.1.2", "10.244.2.2", 77)));
  t.is(lab.list()[0], "icmp 30 10.244.1.2>10.244.2.2 id=77 [UNREPLIED] 10.244.2.2>10.244.1.2 id=77");
  lab.wait(3);
  lab.end(t, lab.forward(lab.echo("10.244.2.2", "10.244.1.2", 77, true)));
  t.is(lab.list()[0], "icmp 30 10.244.1.2>10.244.2.2 id=77 10.244.2.2>10.244.1.2 id=77");
  const f = lab.pre(lab.echo("10.244.2.2", "10.244.1.2", 78, true));
  t.is(lab.k.skb.ct[f], -1);
  lab.k.consume(f);
  t.is(lab.list().length, 1);
  lab.close(t);
});

test("K3.6 an ICMP error about no flow, or not addressed to the flow's sender, is INVALID", (t) => {
  const lab = router();
  const quote = ipPacketOf(udpFrame({ src: "10.244.1.2", dst: "10.244.2.2", sport: 4000, dport: 53 }));
  const error = (dst: string, cut = 28): number => {
    const f = lab.pre(
      lab.frame(icmpErrorFrame({ src: "10.244.2.2", dst, type: 3, code: 3, quote: quote.slice(0, cut) })),
    );
    const info = lab.k.skb.ct[f] < 0 ? -1 : lab.k.skb.ctinfo[f];
    lab.k.consume(f);
    return info;
  };
  t.is(error("10.244.1.2"), -1);
  ask(t, lab);
  t.is(error("10.244.1.2"), 4);
  t.is(error("10.244.1.3"), -1, "outer destination is not the quoted sender");
  t.is(error("10.244.1.2", 24), 4, "four bytes of ports are enough");
  t.is(error("10.244.1.2", 23), -1);
  lab.close(t);
});

test("K3.4 other protocols are tracked by addresses for 600 s", (t) => {
  const lab = router();
  const bytes = udpFrame({ src: "10.244.1.2", dst: "10.244.2.2", sport: 1, dport: 2 });
  const f = lab.frame(bytes);
  lab.k.skb.view.setUint8(lab.k.skb.l3[f] + 9, 253);
  lab.k.consume(lab.forward(f));
  t.is(lab.list()[0], "253 600 10.244.1.2:0>10.244.2.2:0 [UNREPLIED] 10.244.2.2:0>10.244.1.2:0");
  lab.close(t);
});

test("K3.5 UDP with a bad checksum or a bad length is INVALID; without checksum it is fine", (t) => {
  const lab = router();
  const seen = (change: (l3: number) => void): number => {
    const f = lab.udp(A, B, 10);
    change(lab.k.skb.l3[f]);
    const ct = lab.k.skb.ct[lab.pre(f)];
    lab.k.consume(f);
    return ct;
  };
  const v = lab.k.skb.view;
  t.is(
    seen((o) => v.setUint16(o + 26, v.getUint16(o + 26) ^ 1)),
    -1,
  );
  t.is(
    seen((o) => v.setUint16(o + 24, 7)),
    -1,
  );
  t.is(
    seen((o) => v.setUint16(o + 24, 19)),
    -1,
  );
  t.true(seen((o) => v.setUint16(o + 26, 0)) >= 0);
  lab.close(t);
});

test("K1.4 what is dropped before confirmation leaves no entry, once its copies have ended", (t) => {
  const lab = router();
  const f = lab.pre(lab.udp(A, B));
  t.is(lab.nf.t.ids.live, 1);
  t.deepEqual(lab.list(), []);
  const copy = lab.k.copy(f);
  lab.k.consume(f);
  t.is(lab.nf.t.ids.live, 1);
  lab.k.scrub(copy);
  t.is(lab.nf.t.ids.live, 0);
  t.is(lab.nf.t.count[lab.ns], 0);
  lab.k.consume(copy);
  lab.close(t);
});

test("an entry that is killed while a frame of it waits keeps its row until the frame ends", (t) => {
  const lab = router();
  ask(t, lab);
  const waiting = lab.pre(lab.udp(A, B));
  const e = lab.k.skb.ct[waiting] >> 1;
  lab.nf.t.kill(e);
  t.deepEqual(lab.list(), []);
  lab.end(t, lab.forward(lab.udp("10.244.1.9:9", B)));
  t.not(lab.nf.t.index.count, 0);
  t.is(lab.k.skb.ct[waiting] >> 1, e);
  t.is(lab.list().length, 1, "the new flow got another row");
  t.is(lab.end(t, lab.post(waiting)), `${A} > ${B}`);
  lab.close(t);
});

test("a reply in the table's other direction finds the entry: both tuples are indexed", (t) => {
  const lab = router();
  ask(t, lab);
  t.is(lab.nf.t.index.count, 2);
  lab.nf.detach(lab.ns);
  t.is(lab.nf.t.index.count, 0);
  lab.close(t);
});

test("expired entries go as new ones come: the table does not grow for ever", (t) => {
  const lab = router();
  for (let i = 0; i < 4000; i++) {
    lab.end(t, lab.forward(lab.udp(`10.244.1.2:${1024 + i}`, B)));
    lab.wait(0.5);
  }
  t.true(lab.nf.t.ids.live < 200, `${lab.nf.t.ids.live} entries for 60 living ones`);
  lab.close(t);
});

test("K3.8 table full: one entry that is not ASSURED makes room; else the packet is dropped", (t) => {
  const lab = router();
  lab.k.setNsSysctl(lab.ns, "net.netfilter.nf_conntrack_max", 200);
  for (let i = 0; i < 300; i++) lab.end(t, lab.forward(lab.udp(`10.244.1.2:${1024 + i}`, B)));
  t.true(lab.list().length <= 200);
  t.true(lab.nf.t.stats[lab.ns * STATS + ST_EARLY_DROP] >= 50);
  for (let e = 0; e < lab.nf.t.ids.used; e++) lab.nf.t.rec[e * REC + R_STATUS] |= IPS_ASSURED;
  while (lab.list().length < 200) lab.end(t, lab.forward(lab.udp(`10.244.1.3:${lab.list().length}`, B)));
  for (let e = 0; e < lab.nf.t.ids.used; e++) lab.nf.t.rec[e * REC + R_STATUS] |= IPS_ASSURED;
  t.is(lab.end(t, lab.forward(lab.udp("10.244.1.4:9", B))), "CT_TABLE_FULL");
  t.is(lab.end(t, lab.forward(lab.udp("10.244.1.2:1323", B))), "10.244.1.2:1323 > 10.244.2.2:53");
  lab.close(t);
});

test("K3.8 from 95 percent on, TCP entries that are closing may go although ASSURED", (t) => {
  const lab = router();
  lab.k.setNsSysctl(lab.ns, "net.netfilter.nf_conntrack_max", 100);
  for (let i = 0; i < 100; i++) {
    const from = `10.244.1.2:${2000 + i}`;
    const to = "10.244.2.2:80";
    lab.end(t, lab.forward(lab.tcp(from, to, TCP_SYN, { seq: 1 })));
    lab.end(t, lab.forward(lab.tcp(to, from, TCP_SYN | TCP_ACK, { seq: 9, ack: 2 })));
    lab.end(t, lab.forward(lab.tcp(from, to, TCP_ACK, { seq: 2, ack: 10 })));
    if (i % 2) lab.end(t, lab.forward(lab.tcp(from, to, TCP_FIN | TCP_ACK, { seq: 2, ack: 10 })));
  }
  t.is(lab.end(t, lab.forward(lab.udp("10.244.1.4:9", B))), "CT_TABLE_FULL");
  for (let i = 0; i < 40; i++) lab.end(t, lab.forward(lab.udp(`10.244.1.4:${10 + i}`, B)));
  const states = lab.list().map((line) => line.split(" ")[2]);
  t.is(states.filter((s) => s === "ESTABLISHED").length, 50, "established ones all live");
  t.true(states.filter((s) => s === "FIN_WAIT").length < 50);
  lab.close(t);
});

test("K3.8 a full namespace does not touch the entries of another", (t) => {
  const lab = router();
  const other = lab.k.addNamespace("node-1", -1);
  lab.nf.enable(other);
  lab.k.setNsSysctl(lab.ns, "net.netfilter.nf_conntrack_max", 5);
  for (let i = 0; i < 20; i++) {
    const f = lab.udp(`10.244.1.2:${1024 + i}`, B);
    lab.k.skb.ns[f] = other;
    lab.end(t, lab.forward(f));
  }
  for (let i = 0; i < 20; i++) lab.end(t, lab.forward(lab.udp(`10.244.1.2:${1024 + i}`, B)));
  t.is(lab.nf.t.count[other], 20);
  t.true(lab.nf.t.count[lab.ns] <= 5);
  t.is(lab.k.skb.live, 0);
});

test("K3.4 the same five words in two namespaces are two connections", (t) => {
  const lab = router();
  const other = lab.k.addNamespace("node-1", -1);
  lab.nf.addMasqueradeRule(other, { nonMasqueradeCidrs: [cidr("0.0.0.0/0")] });
  ask(t, lab);
  const f = lab.udp(A, B);
  lab.k.skb.ns[f] = other;
  lab.end(t, lab.forward(f));
  t.is(lab.list().length, 2);
  t.is(ip("10.244.1.2"), 0x0af40102);
  lab.close(t);
});

test("a table with room keeps its columns; those of TCP come with the first TCP connection", (t) => {
  const lab = router();
  const { t: table } = lab.nf;
  table.reserve(500);
  const { rec, links, index } = table;
  const { slots } = index;
  for (let i = 0; i < 500; i++) lab.end(t, lab.forward(lab.udp(`10.244.1.2:${2000 + i}`, B)));
  t.is(lab.list().length, 500);
  t.true(table.rec === rec && table.links === links && table.index.slots === slots);
  t.is(table.tcp.length, 0);
  table.reserve(100);
  t.is(table.rec, rec, "room is never taken away");
  lab.end(t, lab.forward(lab.tcp("10.244.1.2:3000", "10.244.2.2:80", TCP_SYN)));
  t.regex(lab.list().join("\n"), /^tcp 120 SYN_SENT 10\.244\.1\.2:3000>/m);
  t.true(table.tcp.length > 500);
  lab.close(t);
});
