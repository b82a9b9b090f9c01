// K 3.6: ICMP errors about translated flows, made on the way or by the node itself.

import test, { type ExecutionContext } from "ava";
import { IP_CT_RELATED_REPLY } from "../../src/netfilter/enums.ts";
import { ServiceTable } from "../../src/netfilter/service-table.ts";
import { SkbFlag } from "../../src/node/sk-buff.ts";
import { formatIpv4 } from "../../src/wire/address.ts";
import { icmpErrorFrame } from "../../src/wire/build.ts";
import { csumIntact, csumRange } from "../../src/wire/checksum.ts";
import { cidr, ip, Lab } from "./lab.ts";

const POD = "10.244.1.2:4000";
const VIP = "10.96.0.10";

function cluster(): Lab {
  const lab = new Lab();
  const table = new ServiceTable();
  lab.nf.attachServices(lab.ns, table, { clusterCidr: cidr("10.244.0.0/16"), randomFully: false });
  table.addEndpoint(table.addServicePort("dns", ip(VIP), 17, 53), ip("10.244.2.2"), 5353, -1);
  return lab;
}

/** The bytes of a frame from its IP header on. */
const packet = (lab: Lab, f: number): Uint8Array => lab.k.skb.bytes.slice(lab.k.skb.off[f], lab.k.skb.end(f));

interface IcmpError {
  from: string;
  type: number;
  code?: number;
  quote: Uint8Array;
  dst?: string;
}

function error(lab: Lab, e: IcmpError): number {
  const dst = e.dst ?? "10.244.1.2";
  return lab.frame(icmpErrorFrame({ src: e.from, dst, type: e.type, code: e.code ?? 0, quote: e.quote }));
}

/** "outer source > destination, about inner source > destination"; all checksums must be right. */
function told(t: ExecutionContext, lab: Lab, f: number): string {
  if (f < 0) return lab.drop;
  const v = lab.k.skb.view;
  const l3 = lab.k.skb.l3[f];
  const inner = l3 + 28;
  const address = (at: number): string => formatIpv4(v.getInt32(at));
  t.true(csumIntact(csumRange(v, l3, l3 + 20, 0)));
  t.true(csumIntact(csumRange(v, l3 + 20, lab.k.skb.end(f), 0)));
  t.true(csumIntact(csumRange(v, inner, inner + 20, 0)));
  const outer = `${address(l3 + 12)} > ${address(l3 + 16)}`;
  const ports = [v.getUint16(inner + 20), v.getUint16(inner + 22)];
  const about = `${address(inner + 12)}:${ports[0]} > ${address(inner + 16)}:${ports[1]}`;
  lab.k.consume(f);
  return `${outer}, about ${about}`;
}

/** Sends a packet of the flow and returns it as it left the node. */
function sent(t: ExecutionContext, lab: Lab, from = POD): Uint8Array {
  const f = lab.forward(lab.udp(from, `${VIP}:53`, "question"));
  const bytes = packet(lab, f);
  lab.end(t, f);
  return bytes;
}

for (const [what, e] of [
  ["closed port on the backend", { from: "10.244.2.2", type: 3, code: 3 }],
  ["TTL expires on a router beyond", { from: "10.0.0.7", type: 11 }],
  ["remote node cannot reach the pod", { from: "10.0.0.2", type: 3, code: 1 }],
  ["packet too big further on", { from: "10.0.0.2", type: 3, code: 4 }],
] as const) {
  test(`K3.6 ${what}: the client is told by the VIP about the VIP`, (t) => {
    const lab = cluster();
    const quote = sent(t, lab);
    t.is(
      told(t, lab, lab.forward(error(lab, { ...e, quote }), lab.bridge)),
      `${VIP} > 10.244.1.2, about 10.244.1.2:4000 > ${VIP}:53`,
    );
    lab.close(t);
  });
}

test("K3.6 with source translation too, both addresses and ports come back", (t) => {
  const lab = cluster();
  const quote = sent(t, lab, "10.0.0.100:4000");
  const f = error(lab, { from: "10.244.2.2", type: 3, code: 3, quote, dst: "10.0.0.1" });
  t.is(told(t, lab, lab.forward(f)), `${VIP} > 10.0.0.100, about 10.0.0.100:4000 > ${VIP}:53`);
  lab.close(t);
});

test("K3.6 an error about a reply quotes the VIP; the backend sees itself", (t) => {
  const lab = cluster();
  sent(t, lab);
  const reply = lab.forward(lab.udp("10.244.2.2:5353", POD), lab.bridge);
  const quote = packet(lab, reply);
  lab.end(t, reply);
  const f = error(lab, { from: "10.244.1.2", type: 3, code: 3, quote, dst: VIP });
  t.is(told(t, lab, lab.forward(f)), "10.244.1.2 > 10.244.2.2, about 10.244.2.2:5353 > 10.244.1.2:4000");
  lab.close(t);
});

test("K3.6 redirects are dropped for translated flows and pass for others", (t) => {
  const lab = cluster();
  const quote = sent(t, lab);
  const redirect = (about: Uint8Array): number =>
    error(lab, { from: "10.0.0.2", type: 5, code: 1, quote: about });
  t.is(told(t, lab, lab.forward(redirect(quote))), "NAT_ICMP");
  const plain = lab.forward(lab.udp(POD, "10.244.2.9:53"));
  const other = packet(lab, plain);
  lab.end(t, plain);
  t.is(
    told(t, lab, lab.forward(redirect(other))),
    "10.0.0.2 > 10.244.1.2, about 10.244.1.2:4000 > 10.244.2.9:53",
  );
  lab.close(t);
});

test("K3.6 an error with a wrong checksum, or one that quotes too little, does not reach the client", (t) => {
  const lab = cluster();
  const quote = sent(t, lab);
  const f = error(lab, { from: "10.244.2.2", type: 3, code: 3, quote });
  lab.k.skb.view.setUint16(lab.k.skb.l3[f] + 22, 1);
  t.is(told(t, lab, lab.forward(f)), "CT_INVALID");
  const cut = error(lab, { from: "10.244.2.2", type: 3, code: 3, quote: quote.slice(0, 26) });
  t.is(told(t, lab, lab.forward(cut)), "NAT_ICMP", "conntrack needs 4 bytes of UDP, NAT all 8");
  lab.close(t);
});

test("K3.6 an error that quotes 8 bytes of TCP: nothing behind the quote is written", (t) => {
  const lab = new Lab();
  const table = new ServiceTable();
  lab.nf.attachServices(lab.ns, table, {});
  table.addEndpoint(table.addServicePort("web", ip(VIP), 6, 80), ip("10.244.2.2"), 8080, -1);
  const syn = lab.forward(lab.tcp(POD, `${VIP}:80`, 2));
  const quote = packet(lab, syn).slice(0, 28);
  lab.end(t, syn);
  const f = error(lab, { from: "10.244.2.2", type: 3, code: 1, quote });
  const { skb } = lab.k;
  const behind = skb.bytes.slice(skb.end(f), skb.end(f) + 40);
  lab.post(lab.forwardOnly(lab.pre(f)), lab.bridge);
  t.deepEqual(skb.bytes.slice(skb.end(f), skb.end(f) + 40), behind);
  t.is(told(t, lab, f), `${VIP} > 10.244.1.2, about 10.244.1.2:4000 > ${VIP}:80`);
  lab.close(t);
});

/** icmp_send: the error about `f` carries its entry, as ip/icmp.ts attaches it. */
function answer(lab: Lab, f: number, type: number, code: number): number {
  const { skb } = lab.k;
  const e = error(lab, { from: "10.244.1.1", type, code, quote: packet(lab, f) });
  skb.ct[e] = skb.ct[f] | 1;
  skb.ctinfo[e] = IP_CT_RELATED_REPLY;
  skb.flags[e] |= SkbFlag.CT_REF;
  lab.nf.copied(e);
  lab.k.consume(f);
  return e;
}

test("K3.6 TTL expires on the own node at the very first packet: the VIP speaks all the same", (t) => {
  const lab = cluster();
  const expired = lab.pre(lab.udp(POD, `${VIP}:53`, "question"));
  const f = lab.post(lab.output(answer(lab, expired, 11, 0)), lab.bridge);
  t.is(told(t, lab, f), `${VIP} > 10.244.1.2, about 10.244.1.2:4000 > ${VIP}:53`);
  t.deepEqual(lab.list(), [], "and confirms nothing");
  t.is(lab.nf.t.ids.live, 0);
  lab.close(t);
});

test("K1.4 a redirect about a flow that is still being set up is discarded by NAT", (t) => {
  const lab = cluster();
  const forwarded = lab.pre(lab.udp("10.0.0.100:1", "10.0.0.200:2"));
  t.is(told(t, lab, lab.post(lab.output(answer(lab, forwarded, 5, 1)))), "NAT_ICMP");
  lab.close(t);
});
