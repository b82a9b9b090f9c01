// IPVS in NAT mode (net/netfilter/ipvs/ip_vs_core.c), as the ipvs mode of kube-proxy uses it (K 2.4): a
// request that was routed to a local address, or is being sent to one, finds its connection or is given a
// server, and goes on in walk/ip-vs-xmit.ts; an answer on its way out gets its source back. vs/conntrack,
// vs/expire_nodest_conn and vs/expire_quiescent_template are 1, as kube-proxy sets them, and conn_reuse_mode
// is the kernel's 1. What it holds for all nodes is in ip-vs-state.ts.
// Absent: what ip-vs-conn.ts and ip-vs-sched.ts lack, FTP, fwmarks, sloppy TCP, one-packet UDP, ICMP errors
// in FORWARD that belong to requests.

import { hash4 } from "../core/hash-index.ts";
import { Noted } from "../node/consulted.ts";
import { Drop } from "../node/drop.ts";
import { NoteKind } from "../node/notes.ts";
import {
  IPV4_DST,
  IPV4_PROTOCOL,
  IPV4_SRC,
  ipv4HeaderLength,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { manipPacket } from "../wire/manip.ts";
import { TCP_FLAGS, TCP_SYN } from "../wire/tcp.ts";
import {
  IP_VS_XMIT,
  IPS_CONFIRMED,
  IPS_DYING,
  NF_ACCEPT,
  NF_INET_LOCAL_OUT,
  NF_NAT_MANIP_DST,
  NF_NAT_MANIP_SRC,
  NF_REJECT,
} from "./enums.ts";
import { ANY_LOCAL } from "./frontends.ts";
import { ConnFlag, IpVsConns } from "./ip-vs-conn.ts";
import { ipVsIcmpIn, ipVsIcmpOut, translateRequestError } from "./ip-vs-icmp.ts";
import { schedule } from "./ip-vs-sched.ts";
import { mayBegin, setTcpState } from "./ip-vs-tcp.ts";
import { MASQUERADE_MARK } from "./kube-endpoint.ts";
import { isNodePortAddress } from "./kube-external.ts";
import { positionOf, usableServers } from "./kube-ip-vs.ts";
import type { Netfilter } from "./netfilter.ts";
import { R_ENDPOINT, R_PORTS, R_REPLY, R_REVISION, R_SERVICE, R_SRC, R_STATUS, REC } from "./nf-conn.ts";
import type { ServiceTable } from "./service-table.ts";

/** Nobody schedules this packet. */
const NOT_SCHEDULED = -1;
const NO_SERVER = -2;
const MINUTE = 60_000_000_000;

/** ip_vs_out_hook: the answer of a server, or an error about a request to one. */
export function ipVsOut(nf: Netfilter, f: number): number {
  const { skb, consulted } = nf.k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const proto = v.getUint8(l3 + IPV4_PROTOCOL);
  const { ipvs } = nf;
  if (proto === PROTO_ICMP) return ipVsIcmpOut(nf, f);
  if (proto !== PROTO_TCP && proto !== PROTO_UDP) return NF_ACCEPT;
  const l4 = l3 + ipv4HeaderLength(v, l3);
  const key = (skb.ns[f] << 8) | proto;
  const client = v.getInt32(l3 + IPV4_DST);
  const cport = v.getUint16(l4 + 2);
  if (consulted.recording > 0) consulted.note(f, Noted.IP_VS, IpVsConns.hash(key, client, cport), 0);
  const { conns } = ipvs;
  const c = conns.findOut(key, v.getInt32(l3 + IPV4_SRC), v.getUint16(l4), client, cport);
  if (c < 0) return NF_ACCEPT;
  // Its time-outs and states are not the flow cache's.
  consulted.giveUp(f);
  if (nf.k.observing) noteManip(nf, f, c, NF_NAT_MANIP_SRC, conns.vaddr[c], conns.ports[c] & 0xffff);
  const end = skb.end(f);
  const vport = conns.ports[c] & 0xffff;
  if (!manipPacket(v, l3, end, proto, NF_NAT_MANIP_SRC, conns.vaddr[c], vport)) return Drop.NAT_ICMP;
  setState(nf, f, c, true);
  return NF_ACCEPT;
}

/** ip_vs_in_hook: NF_ACCEPT for what is none of its business, IP_VS_XMIT, NF_REJECT or a drop reason. */
export function ipVsIn(nf: Netfilter, f: number, hook: number): number {
  const { skb, consulted } = nf.k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const proto = v.getUint8(l3 + IPV4_PROTOCOL);
  if (proto === PROTO_ICMP) return ipVsIcmpIn(nf, f, hook);
  if (proto !== PROTO_TCP && proto !== PROTO_UDP) return NF_ACCEPT;
  const l4 = l3 + ipv4HeaderLength(v, l3);
  const key = (skb.ns[f] << 8) | proto;
  const client = v.getInt32(l3 + IPV4_SRC);
  const vaddr = v.getInt32(l3 + IPV4_DST);
  const cport = v.getUint16(l4);
  const { ipvs } = nf;
  const { conns } = ipvs;
  if (consulted.recording > 0) {
    consulted.note(f, Noted.IP_VS, IpVsConns.hash(key, client, cport), 0);
    consulted.note(f, Noted.SERVICE, vaddr, nf.table[skb.ns[f]]);
    consulted.note(f, Noted.SERVICE, ANY_LOCAL, nf.table[skb.ns[f]]);
  }
  const isSyn = proto === PROTO_TCP && (v.getUint8(l4 + TCP_FLAGS) & TCP_SYN) !== 0;
  let c = conns.findIn(key, client, cport, vaddr, v.getUint16(l4 + 2));
  if (c >= 0 && isOver(nf, c, isSyn)) {
    consulted.giveUp(f);
    // ip_vs_conn_uses_old_conntrack: an entry in the table leads to the old server, so this packet is lost.
    const isOld = hasOldEntry(nf, f);
    if (!isOld) conns.flags[c] &= ~ConnFlag.NFCT;
    expire(nf, c);
    if (isOld) return Drop.IP_VS_NO_SERVER;
    c = -1;
  }
  if (c < 0) {
    c = proto === PROTO_UDP || isSyn ? scheduleNew(nf, f, key, l4, hook) : NOT_SCHEDULED;
    if (c === NO_SERVER) return NF_REJECT;
    if (c === NOT_SCHEDULED) return NF_ACCEPT;
  }
  consulted.giveUp(f);
  setState(nf, f, c, false);
  ipvs.conn = c;
  ipvs.hook = hook;
  return IP_VS_XMIT;
}

/** Must the packet begin another connection, or has this one lost its server? */
function isOver(nf: Netfilter, c: number, isSyn: boolean): boolean {
  const { conns, services } = nf.ipvs;
  const ns = conns.key[c] >>> 8;
  const table = nf.services[nf.table[ns]];
  const revision = nf.revision(ns);
  const s = conns.service[c];
  if (!services.isLive(s, table, revision)) return true;
  const isTcp = (conns.key[c] & 0xff) === PROTO_TCP;
  // A TCP server drains with weight 0 (graceful_termination.go), one of UDP is gone at once (#77802).
  if (isTcp && !isSyn) return false;
  if (isTcp && conns.control[c] < 0 && mayBegin(conns.state[c])) return true;
  return usableServers(nf, table, ns, services.servicePort[s], services.frontend[s], conns.seq[c]) < 0;
}

function hasOldEntry(nf: Netfilter, f: number): boolean {
  const row = nf.k.skb.ct[f];
  return row >= 0 && (nf.t.rec[(row >> 1) * REC + R_STATUS] & IPS_CONFIRMED) !== 0;
}

/** tcp_conn_schedule, udp_conn_schedule, ip_vs_schedule: the new connection, NOT_SCHEDULED or NO_SERVER. */
function scheduleNew(nf: Netfilter, f: number, key: number, l4: number, hook: number): number {
  const { skb } = nf.k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const ns = key >>> 8;
  const proto = key & 0xff;
  const table = nf.services[nf.table[ns]];
  const revision = nf.revision(ns);
  const { conns, services } = nf.ipvs;
  const vaddr = v.getInt32(l3 + IPV4_DST);
  const vport = v.getUint16(l4 + 2);
  const client = v.getInt32(l3 + IPV4_SRC);
  const cport = v.getUint16(l4);
  let p = table.find(vaddr, proto, vport, revision);
  let x = -1;
  if (p < 0) {
    x = table.frontends.find(vaddr, proto, vport, revision);
    if (x < 0 && isNodePortAddress(nf, ns, vaddr))
      x = table.frontends.find(ANY_LOCAL, proto, vport, revision);
    if (x < 0) return NOT_SCHEDULED;
    p = table.frontends.servicePort[x];
  }
  // A reply of a local server is no request.
  if (hook === NF_INET_LOCAL_OUT && conns.findIn(key, vaddr, vport, client, cport) >= 0) return NOT_SCHEDULED;
  usableServers(nf, table, ns, p, x, 0);
  if (table.lists.count === 0) return NO_SERVER;
  const s = services.ensure(key, vaddr, vport, table, p, x);
  const ports = (cport << 16) | vport;
  let template = -1;
  let i = -1;
  if (table.affinity[p] > 0) {
    template = conns.findIn(key, client, 0, vaddr, vport);
    if (template >= 0 && conns.service[template] === s) i = positionOf(table, conns.seq[template]);
  }
  if (i < 0) i = schedule(nf.ipvs.scheduler[ns], services, s, conns, table, client, vaddr);
  const e = table.lists.rows[i];
  if (table.affinity[p] > 0) {
    template = stick(nf, table, key, client, vaddr, vport, s, e, template);
    conns.timeout[template] = table.affinity[p];
    conns.touch(template);
  }
  nf.k.consulted.changed(Noted.IP_VS, IpVsConns.hash(key, client, cport), 0);
  const { epSeq, epIp, epTarget } = table;
  const c = conns.add(key, client, vaddr, ports, s, epSeq[e], epIp[e], epTarget[e], ConnFlag.NFCT, template);
  remember(nf, f, p, i, revision);
  // KUBE-LOOP-BACK: a pod that reaches itself.
  if (client === epIp[e]) skb.mark[f] |= MASQUERADE_MARK;
  return c;
}

/** ip_vs_sched_persist: the client's template, pointing to this server. */
function stick(
  nf: Netfilter,
  table: ServiceTable,
  key: number,
  client: number,
  vaddr: number,
  vport: number,
  s: number,
  e: number,
  old: number,
): number {
  const { conns } = nf.ipvs;
  const seq = table.epSeq[e];
  if (old >= 0 && conns.service[old] === s && conns.seq[old] === seq) return old;
  // ip_vs_check_template: one whose server has gone is found no more.
  if (old >= 0) conns.disown(old);
  const { TEMPLATE } = ConnFlag;
  return conns.add(key, client, vaddr, vport, s, seq, table.epIp[e], table.epTarget[e], TEMPLATE, -1);
}

/** For explain and the conntrack clean-up: what chose the destination. */
function remember(nf: Netfilter, f: number, p: number, i: number, revision: number): void {
  const row = nf.k.skb.ct[f];
  if (row >= 0) {
    const { rec } = nf.t;
    const b = (row >> 1) * REC;
    rec[b + R_SERVICE] = p;
    rec[b + R_ENDPOINT] = i;
    rec[b + R_REVISION] = revision;
  }
  const { count } = nf.services[nf.table[nf.k.skb.ns[f]]].lists;
  if (nf.k.observing) nf.k.note(f, NoteKind.SERVICE, p, revision, 1, count, 0);
}

function setState(nf: Netfilter, f: number, c: number, out: boolean): void {
  const { conns, tcpTimeout, finTimeout, udpTimeout } = nf.ipvs;
  const { skb } = nf.k;
  const ns = conns.key[c] >>> 8;
  if ((conns.key[c] & 0xff) === PROTO_TCP) {
    const l3 = skb.l3[f];
    const flags = skb.view.getUint8(l3 + ipv4HeaderLength(skb.view, l3) + TCP_FLAGS);
    setTcpState(conns, c, out, flags, tcpTimeout[ns], finTimeout[ns]);
  } else conns.timeout[c] = udpTimeout[ns];
  conns.touch(c);
}

/** ip_vs_nat_xmit after routing: the request gets its new destination; false when it is too short. */
export function ipVsTranslate(nf: Netfilter, f: number): boolean {
  const { skb } = nf.k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const { conns, conn: c } = nf.ipvs;
  const proto = v.getUint8(l3 + IPV4_PROTOCOL);
  if (nf.k.observing) noteManip(nf, f, c, NF_NAT_MANIP_DST, conns.daddr[c], conns.dport[c]);
  if (proto === PROTO_ICMP) {
    translateRequestError(nf, f);
    return true;
  }
  const end = skb.end(f);
  if (!manipPacket(v, l3, end, proto, NF_NAT_MANIP_DST, conns.daddr[c], conns.dport[c])) return false;
  updateConntrack(nf, f, c);
  return true;
}

/** ip_vs_update_conntrack: replies of a new connection will come from the server. */
function updateConntrack(nf: Netfilter, f: number, c: number): void {
  const row = nf.k.skb.ct[f];
  if (row < 0 || row & 1) return;
  const { rec } = nf.t;
  const b = (row >> 1) * REC;
  if (rec[b + R_STATUS] & (IPS_CONFIRMED | IPS_DYING)) return;
  const { conns } = nf.ipvs;
  rec[b + R_REPLY + R_SRC] = conns.daddr[c];
  rec[b + R_REPLY + R_PORTS] = (conns.dport[c] << 16) | (rec[b + R_REPLY + R_PORTS] & 0xffff);
}

function noteManip(nf: Netfilter, f: number, c: number, manip: number, addr: number, port: number): void {
  const { skb } = nf.k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const l4 = l3 + ipv4HeaderLength(v, l3);
  const isSrc = manip === NF_NAT_MANIP_SRC;
  const isIcmp = v.getUint8(l3 + IPV4_PROTOCOL) === PROTO_ICMP;
  const old = v.getInt32(l3 + (isSrc ? IPV4_SRC : IPV4_DST));
  const oldPort = isIcmp ? 0 : v.getUint16(isSrc ? l4 : l4 + 2);
  const row = skb.ct[f];
  const p = nf.ipvs.services.servicePort[nf.ipvs.conns.service[c]];
  const endpoint = row < 0 ? 0 : nf.t.rec[(row >> 1) * REC + R_ENDPOINT] & 0xffff;
  const kind = isSrc ? NoteKind.SNAT : NoteKind.DNAT;
  // Marked as a reply's, and as done by IPVS.
  const word = (isIcmp ? 0 : port) | (isSrc ? 0x30000 : 0x20000);
  nf.k.note(f, kind, old, oldPort, addr, word, isIcmp ? -1 : (p << 16) | endpoint);
}

/** Op.IP_VS_TIMER: ip_vs_conn_expire. */
export function ipVsExpire(nf: Netfilter, c: number, generation: number): void {
  const { conns } = nf.ipvs;
  if (!conns.isDue(c, generation)) return;
  if (conns.controls[c] > 0) conns.postpone(c, MINUTE);
  else expire(nf, c);
}

/** The connection goes, and conntrack's entry with it (ip_vs_conn_drop_conntrack). */
function expire(nf: Netfilter, c: number): void {
  const { conns } = nf.ipvs;
  const { t } = nf;
  if (conns.flags[c] & ConnFlag.NFCT) {
    const key = conns.key[c];
    const caddr = conns.caddr[c];
    const vaddr = conns.vaddr[c];
    const ports = conns.ports[c];
    const row = t.find(key, caddr, vaddr, ports, hash4(key, caddr, vaddr, ports));
    if (row >= 0) t.kill(row >> 1);
  }
  conns.remove(c);
}
