// The virtual services of a node in kube-proxy's ipvs mode, as `ipvsadm -Ln` lists them (K 2.4): each
// address and port with its servers, newest first as the kernel keeps them, and at the end those that drain.
// Services are in the order of their names, where ipvsadm has that of a hash table.
// Absent: the chains and sets beside IPVS, counters.

import { ANY_LOCAL } from "../netfilter/frontends.ts";
import { ConnFlag } from "../netfilter/ip-vs-conn.ts";
import { IP_VS_SCHEDULERS } from "../netfilter/ip-vs-sched.ts";
import { isNodePortAddress } from "../netfilter/kube-external.ts";
import { usableServers } from "../netfilter/kube-ip-vs.ts";
import type { ServiceTable } from "../netfilter/service-table.ts";
import type { Walk } from "../walk/walk.ts";
import { formatIpv4 } from "../wire/address.ts";
import { PROTO_TCP } from "../wire/ipv4.ts";

export interface RealServerInfo {
  address: string;
  port: number;
  /** 0: it drains. */
  weight: number;
  active: number;
  inactive: number;
}

export interface VirtualServerInfo {
  protocol: "TCP" | "UDP";
  address: string;
  port: number;
  scheduler: string;
  /** Seconds a client keeps its server; 0: it does not. */
  persistent: number;
  servers: RealServerInfo[];
}

/** By name of the Service: the ClusterIP, then its other addresses, NodePorts once for each of the node's. */
export function virtualServers(w: Walk, ns: number): VirtualServerInfo[] {
  const { nf } = w;
  const table = nf.services[nf.table[ns]];
  const revision = nf.revision(ns);
  const ports: number[] = [];
  for (let p = 0; p < table.ports.used; p++) {
    if (table.added[p] <= revision && revision < table.removed[p] && table.name[p] !== "") ports.push(p);
  }
  ports.sort((a, b) => (table.name[a] < table.name[b] ? -1 : table.name[a] > table.name[b] ? 1 : a - b));
  return ports.flatMap((p) => serversOf(w, ns, table, p));
}

function serversOf(w: Walk, ns: number, table: ServiceTable, p: number): VirtualServerInfo[] {
  const { nf } = w;
  const { frontends } = table;
  const found = [infoOf(w, ns, table, p, -1, table.vip[p], table.port[p])];
  for (let x = table.frontend0[p]; x >= 0; x = frontends.next[x]) {
    if (!frontends.isAt(x, nf.revision(ns))) continue;
    const addresses = frontends.addr[x] === ANY_LOCAL ? nodeAddresses(w, ns) : [frontends.addr[x]];
    for (const addr of addresses) found.push(infoOf(w, ns, table, p, x, addr, frontends.port[x]));
  }
  return found;
}

function nodeAddresses(w: Walk, ns: number): number[] {
  const { dev, inet, ns: spaces } = w.k;
  const found: number[] = [];
  for (let d = spaces.firstDev[ns]; d >= 0; d = dev.nextInNs[d]) {
    for (let r = inet.firstOf(d); r >= 0; r = inet.next[r]) {
      if (isNodePortAddress(w.nf, ns, inet.addr[r])) found.push(inet.addr[r]);
    }
  }
  return found;
}

function infoOf(
  w: Walk,
  ns: number,
  table: ServiceTable,
  p: number,
  x: number,
  addr: number,
  port: number,
): VirtualServerInfo {
  const { ipvs } = w.nf;
  const { conns } = ipvs;
  const v = ipvs.services.find((ns << 8) | table.proto[p], addr, port);
  const server = (seq: number, ip: number, target: number, weight: number): RealServerInfo => {
    const d = v < 0 ? -1 : conns.findDest(v, seq);
    const [active, inactive] = d < 0 ? [0, 0] : [conns.active[d], conns.inactive[d]];
    return { address: formatIpv4(ip), port: target, weight, active, inactive };
  };
  usableServers(w.nf, table, ns, p, x, 0);
  const rows = [...table.lists.rows.slice(0, table.lists.count)].reverse();
  const servers = rows.map((e) => server(table.epSeq[e], table.epIp[e], table.epTarget[e], 1));
  const listed = new Set(rows.map((e) => table.epSeq[e]));
  for (let c = 0; v >= 0 && table.proto[p] === PROTO_TCP && c < conns.ids.used; c++) {
    if (conns.key[c] === -1 || conns.service[c] !== v || listed.has(conns.seq[c])) continue;
    if (conns.flags[c] & ConnFlag.TEMPLATE) continue;
    listed.add(conns.seq[c]);
    servers.push(server(conns.seq[c], conns.daddr[c], conns.dport[c], 0));
  }
  return {
    protocol: table.proto[p] === PROTO_TCP ? "TCP" : "UDP",
    address: formatIpv4(addr),
    port,
    scheduler: IP_VS_SCHEDULERS[ipvs.scheduler[ns]],
    persistent: table.affinity[p] / 1e9,
    servers,
  };
}

const HEAD = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
`;

export function showVirtualServers(w: Walk, ns: number): string {
  let text = HEAD;
  for (const s of virtualServers(w, ns)) {
    const sticky = s.persistent > 0 ? ` persistent ${s.persistent}` : "";
    text += `${s.protocol}  ${s.address}:${s.port} ${s.scheduler}${sticky}\n`;
    for (const r of s.servers) {
      const to = `${r.address}:${r.port}`.padEnd(28);
      const counts = `${String(r.active).padEnd(10)} ${r.inactive}`;
      text += `  -> ${to} Masq    ${String(r.weight).padEnd(6)} ${counts}\n`;
    }
  }
  return text;
}
