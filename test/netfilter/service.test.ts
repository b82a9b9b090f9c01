// What kube-proxy's rules do to ClusterIP traffic: endpoints, masquerade, REJECT and DROP, the nftables mode.

import test from "ava";
import { MASQUERADE_MARK } from "../../src/netfilter/kube-endpoint.ts";
import type { ProxyOptions } from "../../src/netfilter/netfilter.ts";
import { ServiceTable } from "../../src/netfilter/service-table.ts";
import { NoteKind } from "../../src/node/notes.ts";
import { udpFrame } from "../../src/wire/build.ts";
import { TCP_ACK, TCP_SYN } from "../../src/wire/tcp.ts";
import { cidr, ip, Lab } from "./lab.ts";

const CLIENT = "10.244.1.2";
const VIP = "10.96.0.10";
const REJECT = "SERVICE_REJECT + ICMP 3/3";

function cluster(options: ProxyOptions = {}, local = false) {
  const lab = new Lab();
  const table = new ServiceTable();
  lab.nf.attachServices(lab.ns, table, {
    clusterCidr: cidr("10.244.0.0/16"),
    randomFully: false,
    ...options,
  });
  const web = table.addServicePort("default/web:http", ip(VIP), 6, 80, local);
  return { lab, table, web };
}

const syn = (lab: Lab, from: string, to = `${VIP}:80`): number => lab.tcp(from, to, TCP_SYN);

test("K1.5 row 1: a local pod keeps its source, replies come from the VIP", (t) => {
  const { lab, table, web } = cluster();
  table.addEndpoint(web, ip("10.244.2.2"), 8080, -1);
  const f = lab.forward(syn(lab, `${CLIENT}:40000`));
  t.is(lab.k.skb.mark[f], 0);
  t.is(lab.end(t, f), "10.244.1.2:40000 > 10.244.2.2:8080");
  t.deepEqual(lab.list(), [
    "tcp 120 SYN_SENT 10.244.1.2:40000>10.96.0.10:80 [UNREPLIED] 10.244.2.2:8080>10.244.1.2:40000",
  ]);
  const back = lab.tcp("10.244.2.2:8080", `${CLIENT}:40000`, TCP_SYN | TCP_ACK, { ack: 1 });
  t.is(lab.end(t, lab.forward(back, lab.bridge)), "10.96.0.10:80 > 10.244.1.2:40000");
  lab.close(t);
});

test("K1.5 row 2: outside hosts and the node itself are masqueraded, and it is undone", (t) => {
  const { lab, table, web } = cluster();
  table.addEndpoint(web, ip("10.244.1.3"), 8080, lab.ns);
  const outside = lab.forward(syn(lab, "10.0.0.100:4000"), lab.bridge);
  t.is(lab.k.skb.mark[outside] & MASQUERADE_MARK, 0, "the mark is taken off again");
  t.is(lab.end(t, outside), "10.244.1.1:4000 > 10.244.1.3:8080");
  const back = lab.tcp("10.244.1.3:8080", "10.244.1.1:4000", TCP_SYN | TCP_ACK, { ack: 1 });
  t.is(lab.end(t, lab.forward(back)), "10.96.0.10:80 > 10.0.0.100:4000");
  const process = lab.post(lab.output(syn(lab, "10.0.0.1:5000")), lab.bridge);
  t.is(lab.end(t, process), "10.244.1.1:5000 > 10.244.1.3:8080");
  const answer = lab.input(lab.tcp("10.244.1.3:8080", "10.244.1.1:5000", TCP_SYN | TCP_ACK, { ack: 1 }));
  t.is(lab.end(t, answer), "10.96.0.10:80 > 10.0.0.1:5000");
  lab.close(t);
});

test("K1.5 row 3: masqueradeAll masquerades local pods too; without a cluster CIDR nobody is", (t) => {
  const all = cluster({ masqueradeAll: true });
  all.table.addEndpoint(all.web, ip("10.244.2.2"), 8080, -1);
  t.is(all.lab.end(t, all.lab.forward(syn(all.lab, `${CLIENT}:4000`))), "10.0.0.1:4000 > 10.244.2.2:8080");
  all.lab.close(t);
  const lab = new Lab();
  const table = new ServiceTable();
  lab.nf.attachServices(lab.ns, table);
  table.addEndpoint(table.addServicePort("web", ip(VIP), 6, 80), ip("10.244.2.2"), 8080, -1);
  t.is(lab.end(t, lab.forward(syn(lab, "10.0.0.100:4000"))), "10.0.0.100:4000 > 10.244.2.2:8080");
  lab.close(t);
});

test("K1.5 row 8, K3.2: a pod that reaches itself through the VIP is masqueraded", (t) => {
  const { lab, table, web } = cluster();
  table.addEndpoint(web, ip(CLIENT), 8080, lab.ns);
  const f = lab.forward(syn(lab, `${CLIENT}:4000`), lab.bridge);
  t.is(lab.end(t, f), "10.244.1.1:4000 > 10.244.1.2:8080");
  lab.close(t);
});

test("K1.4 no endpoint anywhere: REJECT with ICMP 3/3 in FORWARD and OUTPUT, and no entry stays", (t) => {
  const { lab, table, web } = cluster();
  t.is(lab.end(t, lab.forward(syn(lab, `${CLIENT}:4000`))), REJECT);
  t.is(lab.end(t, lab.output(syn(lab, "10.0.0.1:4000"))), REJECT);
  const notReady = table.addEndpoint(web, ip("10.244.2.2"), 8080, -1, 0);
  t.is(lab.end(t, lab.forward(syn(lab, `${CLIENT}:4000`))), REJECT, "a not-ready endpoint is none");
  t.deepEqual(lab.list(), []);
  table.setEndpointConditions(notReady, 3);
  t.is(lab.end(t, lab.forward(syn(lab, `${CLIENT}:4000`))), "10.244.1.2:4000 > 10.244.2.2:8080");
  lab.close(t);
});

test("K1.4 REJECT is for NEW packets: an established flow outlives its endpoints", (t) => {
  const { lab, table, web } = cluster();
  const e = table.addEndpoint(web, ip("10.244.2.2"), 8080, -1);
  lab.end(t, lab.forward(syn(lab, `${CLIENT}:4000`)));
  const back = lab.tcp("10.244.2.2:8080", `${CLIENT}:4000`, TCP_SYN | TCP_ACK, { ack: 1 });
  lab.end(t, lab.forward(back));
  table.removeEndpoint(e);
  const ack = lab.tcp(`${CLIENT}:4000`, `${VIP}:80`, TCP_ACK, { seq: 1, ack: 1 });
  t.is(lab.end(t, lab.forward(ack)), "10.244.1.2:4000 > 10.244.2.2:8080");
  t.is(lab.end(t, lab.forward(syn(lab, `${CLIENT}:4001`))), REJECT);
  lab.close(t);
});

test("nf_send_unreach: no answer to a packet whose checksum is wrong", (t) => {
  const { lab, table } = cluster();
  lab.k.setNsSysctl(lab.ns, "net.netfilter.nf_conntrack_checksum", 0);
  const f = syn(lab, `${CLIENT}:4000`);
  lab.k.skb.view.setUint16(lab.k.skb.l3[f] + 36, 0xbeef);
  t.is(lab.end(t, lab.forward(f)), "SERVICE_REJECT");
  table.addServicePort("dns", ip(VIP), 17, 53);
  t.is(lab.end(t, lab.forward(lab.udp(`${CLIENT}:1`, `${VIP}:53`, "x", false))), REJECT, "none is fine");
  lab.close(t);
});

test("K1.4 internalTrafficPolicy Local: the node's own endpoints, DROP when they are all elsewhere", (t) => {
  const { lab, table, web } = cluster({}, true);
  t.is(lab.end(t, lab.forward(syn(lab, `${CLIENT}:4000`))), REJECT, "none anywhere");
  const elsewhere = lab.k.addNamespace("node-1", -1);
  table.addEndpoint(web, ip("10.244.2.2"), 8080, elsewhere);
  t.is(lab.end(t, lab.forward(syn(lab, `${CLIENT}:4000`))), "SERVICE_NO_LOCAL_ENDPOINTS");
  t.is(lab.end(t, lab.output(syn(lab, "10.0.0.1:4000"))), "SERVICE_NO_LOCAL_ENDPOINTS");
  table.addEndpoint(web, ip("10.244.1.3"), 8080, lab.ns);
  for (const port of [1, 2, 3]) {
    t.is(lab.end(t, lab.forward(syn(lab, `${CLIENT}:${port}`))), `${CLIENT}:${port} > 10.244.1.3:8080`);
  }
  lab.close(t);
});

test("K1.4 iptables mode: an undefined port of a ClusterIP, and a ping, are simply routed", (t) => {
  const { lab, table, web } = cluster();
  table.addEndpoint(web, ip("10.244.2.2"), 8080, -1);
  t.is(lab.end(t, lab.forward(syn(lab, `${CLIENT}:4000`, `${VIP}:81`))), `${CLIENT}:4000 > ${VIP}:81`);
  t.is(lab.end(t, lab.forward(lab.udp(`${CLIENT}:4000`, `${VIP}:80`))), `${CLIENT}:4000 > ${VIP}:80`);
  t.is(lab.end(t, lab.forward(lab.echo(CLIENT, VIP, 9))), `${CLIENT} > ${VIP} id 9`);
  lab.close(t);
});

test("K1.4, K2.3 nftables mode: undefined port and ping 3/3, unallocated address silence", (t) => {
  const { lab, table, web } = cluster({ balance: "nftables", serviceCidr: cidr("10.96.0.0/16") });
  t.is(lab.end(t, lab.forward(syn(lab, `${CLIENT}:4000`))), REJECT, "no endpoint");
  table.addEndpoint(web, ip("10.244.2.2"), 8080, -1);
  t.is(lab.end(t, lab.forward(syn(lab, `${CLIENT}:4000`))), `${CLIENT}:4000 > 10.244.2.2:8080`);
  t.is(lab.end(t, lab.forward(syn(lab, `${CLIENT}:4000`, `${VIP}:81`))), REJECT);
  t.is(lab.end(t, lab.output(syn(lab, "10.0.0.1:4000", `${VIP}:81`))), REJECT);
  t.is(
    lab.end(t, lab.input(syn(lab, `${CLIENT}:4000`, `${VIP}:81`))),
    `${CLIENT}:4000 > ${VIP}:81`,
    "not INPUT",
  );
  t.is(lab.end(t, lab.forward(lab.echo(CLIENT, VIP, 9))), REJECT);
  t.is(lab.end(t, lab.output(lab.echo("10.0.0.1", VIP, 9))), REJECT);
  t.is(lab.end(t, lab.forward(syn(lab, `${CLIENT}:4000`, "10.96.7.7:80"))), "SERVICE_UNALLOCATED");
  t.is(lab.end(t, lab.forward(syn(lab, `${CLIENT}:4000`, "10.97.7.7:80"))), `${CLIENT}:4000 > 10.97.7.7:80`);
  table.removeServicePort(web);
  t.is(lab.end(t, lab.forward(syn(lab, `${CLIENT}:4000`, `${VIP}:81`))), "SERVICE_UNALLOCATED");
  lab.close(t);
});

test("K2.2 KUBE-FORWARD drops INVALID in FORWARD only; the nftables mode has no such rule", (t) => {
  const stray = (lab: Lab): number => lab.tcp("10.244.2.2:80", `${CLIENT}:9`, TCP_SYN | TCP_ACK);
  const { lab } = cluster();
  t.is(lab.end(t, lab.forward(stray(lab))), "CT_INVALID");
  t.is(lab.end(t, lab.input(stray(lab))), `10.244.2.2:80 > ${CLIENT}:9`);
  lab.close(t);
  for (const options of [{ balance: "nftables" }, { dropInvalid: false }] as const) {
    const other = cluster(options).lab;
    t.is(other.end(t, other.forward(stray(other))), `10.244.2.2:80 > ${CLIENT}:9`);
    other.close(t);
  }
});

test("K2.2 FORWARD policy drop: marked and answered packets pass, other NEW ones do not", (t) => {
  const { lab, table, web } = cluster({ forwardPolicy: "drop" });
  table.addEndpoint(web, ip("10.244.2.2"), 8080, -1);
  t.is(lab.end(t, lab.forward(lab.udp(`${CLIENT}:1`, "10.244.2.2:2"))), "FORWARD_POLICY");
  t.is(lab.end(t, lab.forward(syn(lab, "10.0.0.100:4000"))), "10.0.0.1:4000 > 10.244.2.2:8080", "marked");
  const back = lab.tcp("10.244.2.2:8080", "10.0.0.1:4000", TCP_SYN | TCP_ACK, { ack: 1 });
  t.is(lab.end(t, lab.forward(back)), `${VIP}:80 > 10.0.0.100:4000`);
  lab.close(t);
});

test("K2.2 KUBE-FIREWALL: 127/8 from elsewhere is dropped at INPUT and OUTPUT", (t) => {
  const { lab, table, web } = cluster();
  table.addEndpoint(web, ip("127.0.0.1"), 8080, lab.ns);
  const translated = lab.post(lab.output(syn(lab, "10.0.0.1:4000")), lab.bridge);
  t.is(lab.end(t, translated), "10.244.1.1:4000 > 127.0.0.1:8080", "state DNAT is let through");
  t.is(lab.end(t, lab.input(lab.udp("10.0.0.9:1", "127.0.0.1:53"))), "KUBE_FIREWALL");
  t.is(lab.end(t, lab.output(lab.udp("10.0.0.1:1", "127.0.0.1:53"))), "KUBE_FIREWALL");
  t.is(lab.end(t, lab.input(lab.udp("127.0.0.1:1", "127.0.0.1:53"))), "127.0.0.1:1 > 127.0.0.1:53");
  const reply = lab.input(lab.udp("127.0.0.1:53", "127.0.0.1:1"));
  t.is(lab.end(t, reply), "127.0.0.1:53 > 127.0.0.1:1");
  lab.close(t);
});

test("K2.1 iptables and nftables choose at random, seeded; each endpoint gets about its share", (t) => {
  for (const balance of ["iptables", "nftables"] as const) {
    const runs = [0, 1].map(() => {
      const { lab, table, web } = cluster({ balance });
      for (const host of [2, 3, 4, 5]) table.addEndpoint(web, ip(`10.244.2.${host}`), 8080, -1);
      const picks: string[] = [];
      for (let port = 2000; port < 2400; port++) {
        picks.push(lab.end(t, lab.forward(syn(lab, `${CLIENT}:${port}`))).split(" > ")[1]);
      }
      lab.close(t);
      return picks;
    });
    t.deepEqual(runs[0], runs[1]);
    for (const host of [2, 3, 4, 5]) {
      const share = runs[0].filter((p) => p === `10.244.2.${host}:8080`).length;
      t.true(share > 60 && share < 140, `${share} of 400`);
    }
  }
});

test("K2.7 a SYN that was dropped before confirmation is balanced anew; a tracked one is not", (t) => {
  const { lab, table, web } = cluster();
  for (const host of [2, 3, 4]) table.addEndpoint(web, ip(`10.244.2.${host}`), 8080, -1);
  const lost = lab.forwardOnly(lab.pre(syn(lab, `${CLIENT}:4000`)));
  t.is(lab.tuple(lost), `${CLIENT}:4000 > 10.244.2.2:8080`);
  lab.k.consume(lost);
  t.is(lab.end(t, lab.forward(syn(lab, `${CLIENT}:4000`))), `${CLIENT}:4000 > 10.244.2.3:8080`);
  t.is(lab.end(t, lab.forward(syn(lab, `${CLIENT}:4000`))), `${CLIENT}:4000 > 10.244.2.3:8080`);
  t.is(lab.end(t, lab.forward(syn(lab, `${CLIENT}:4001`))), `${CLIENT}:4001 > 10.244.2.4:8080`);
  lab.close(t);
});

test("notes for explain: conntrack, service, DNAT with service port and endpoint, SNAT", (t) => {
  const { lab, table, web } = cluster();
  table.addEndpoint(web, ip("10.244.2.2"), 8080, -1);
  table.addEndpoint(web, ip("10.244.2.3"), 8080, -1);
  const { k } = lab;
  lab.end(t, lab.forward(syn(lab, "10.0.0.100:3999")));
  k.observing = true;
  lab.end(t, lab.forward(syn(lab, "10.0.0.100:4000")));
  const { notes } = k;
  const seen: number[][] = [];
  for (let i = 0; i < notes.count; i++) {
    seen.push([notes.kind[i], notes.a[i], notes.b[i], notes.c[i], notes.d[i], notes.e[i]]);
  }
  t.deepEqual(seen, [
    [NoteKind.CONNTRACK, 1, 2, 1, 0, 0],
    [NoteKind.SERVICE, web, table.revision, 1, 2, 0],
    [NoteKind.DNAT, ip(VIP), 80, ip("10.244.2.3"), 8080, (web << 16) | 1],
    [NoteKind.SNAT, ip("10.0.0.100"), 4000, ip("10.0.0.1"), 4000, (web << 16) | 1],
  ]);
  lab.close(t);
});

test("K3.7 a reassembled datagram to a VIP is translated like any other", (t) => {
  const { lab, table } = cluster();
  const dns = table.addServicePort("dns", ip(VIP), 17, 53);
  table.addEndpoint(dns, ip("10.244.2.9"), 5353, -1);
  const payload = 1900;
  const f = lab.frame(udpFrame({ src: CLIENT, dst: VIP, sport: 4000, dport: 53, payload }));
  t.is(lab.end(t, lab.forward(f)), `${CLIENT}:4000 > 10.244.2.9:5353`);
  lab.close(t);
});
