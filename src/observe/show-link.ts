// `ip link`, `ip -s link`, `ip -4 addr` and `bridge fdb show`, word for word as iproute2 6.1 prints them.
// A device that is down has the queueing discipline "noop", though one that was up before keeps "noqueue"
// on Linux.
// Absent: `ip -d`, IPv6, multicast group entries of `bridge fdb` ("self permanent"), the scope `dynamic`
// of addresses with a lifetime, statistics other than packets, bytes and drops, which are 0.

import { FdbFlag } from "../link/fdb.ts";
import { Scope } from "../node/in-ifaddr.ts";
import { DevKind } from "../node/net-device.ts";
import type { Walk } from "../walk/walk.ts";
import { formatIpv4, formatMac } from "../wire/address.ts";

/** As `ip -j -s link` names the fields. */
export interface LinkInfo {
  ifindex: number;
  link_index?: number;
  link?: string;
  ifname: string;
  flags: string[];
  mtu: number;
  qdisc: string;
  master?: string;
  operstate: string;
  linkmode: string;
  group: string;
  txqlen: number;
  link_type: string;
  address: string;
  broadcast: string;
  /** Name of the namespace of the other end, where `ip` has a number (link_netnsid). */
  link_netns?: string;
  stats64: { rx: LinkStats; tx: LinkStats };
}

export interface LinkStats {
  bytes: number;
  packets: number;
  errors: number;
  dropped: number;
}

/** As `ip -j -4 addr` names the fields. */
export interface AddressInfo {
  family: "inet";
  local: string;
  prefixlen: number;
  scope: string;
  secondary?: true;
  label: string;
}

export interface LinkAddresses extends LinkInfo {
  addr_info: AddressInfo[];
}

/** As `bridge -j fdb show` names the fields. */
export interface FdbInfo {
  mac: string;
  ifname: string;
  flags: string[];
  master: string;
  state: string;
}

/** netif_carrier_ok(): somebody is at the other end. */
export function hasCarrier(w: Walk, d: number): boolean {
  const { dev } = w.k;
  switch (dev.kind[d]) {
    case DevKind.VETH:
      return dev.up[d] === 1 && dev.peer[d] >= 0 && dev.up[dev.peer[d]] === 1;
    case DevKind.BRIDGE:
      return w.link.bridges.portsOf(d).some((p) => hasCarrier(w, p));
    case DevKind.NIC:
      return dev.nic[d] >= 0;
    default:
      return true;
  }
}

export function links(w: Walk, ns: number): LinkInfo[] {
  w.cache.flush();
  const found: LinkInfo[] = [];
  for (let d = w.k.ns.firstDev[ns]; d >= 0; d = w.k.dev.nextInNs[d]) found.push(linkInfo(w, d));
  return found;
}

function linkInfo(w: Walk, d: number): LinkInfo {
  const { dev, ns } = w.k;
  const loopback = dev.kind[d] === DevKind.LOOPBACK;
  const peer = dev.kind[d] === DevKind.VETH ? dev.peer[d] : -1;
  const here = peer >= 0 && dev.ns[peer] === dev.ns[d];
  const up = dev.up[d] === 1;
  const carrier = hasCarrier(w, d);
  const own = dev.kind[d] === DevKind.DUMMY ? "NOARP" : "MULTICAST";
  const flags = loopback ? ["LOOPBACK"] : ["BROADCAST", own];
  if (up && !carrier) flags.unshift("NO-CARRIER");
  if (up) flags.push("UP");
  if (up && carrier) flags.push("LOWER_UP");
  if (here && dev.up[peer] === 0) flags.push("M-DOWN");
  const state = loopback ? "UNKNOWN" : up && carrier ? "UP" : up && here ? "LOWERLAYERDOWN" : "DOWN";
  const address = formatMac(dev.macHi[d], dev.macLo[d]);
  return {
    ifindex: dev.ifindex[d],
    ...(peer >= 0 && !here ? { link_index: dev.ifindex[peer] } : {}),
    ...(here ? { link: dev.name[peer] } : {}),
    ifname: dev.name[d],
    flags,
    mtu: dev.mtu[d],
    qdisc: qdiscOf(w, d),
    ...(dev.master[d] >= 0 ? { master: dev.name[dev.master[d]] } : {}),
    operstate: state,
    linkmode: "DEFAULT",
    group: "default",
    txqlen: 1000,
    link_type: loopback ? "loopback" : "ether",
    address,
    broadcast: loopback ? address : "ff:ff:ff:ff:ff:ff",
    ...(peer >= 0 && !here ? { link_netns: ns.name[dev.ns[peer]] } : {}),
    stats64: {
      rx: { bytes: dev.rxBytes[d], packets: dev.rxPackets[d], errors: 0, dropped: dev.rxDropped[d] },
      tx: { bytes: dev.txBytes[d], packets: dev.txPackets[d], errors: 0, dropped: dev.txDropped[d] },
    },
  };
}

/** A NIC has several queues, as Azure's; everything else none. */
function qdiscOf(w: Walk, d: number): string {
  const { dev } = w.k;
  if (dev.up[d] === 0) return "noop";
  if (dev.qdisc[d] >= 0) return "netem";
  return dev.kind[d] === DevKind.NIC ? "mq" : "noqueue";
}

/** The first line of a device, up to its state. */
function headOf(l: LinkInfo): string {
  const other = l.link ?? (l.link_index === undefined ? undefined : `if${l.link_index}`);
  const name = other === undefined ? l.ifname : `${l.ifname}@${other}`;
  const master = l.master === undefined ? "" : ` master ${l.master}`;
  const head = `${l.ifindex}: ${name}: <${l.flags.join(",")}> mtu ${l.mtu}`;
  return `${head} qdisc ${l.qdisc}${master} state ${l.operstate}`;
}

const netns = (l: LinkInfo): string => (l.link_netns === undefined ? "" : ` link-netns ${l.link_netns}`);

/** @param stats as `ip -s` */
export function showLinks(w: Walk, ns: number, stats: boolean): string {
  let text = "";
  for (const l of links(w, ns)) {
    text += `${headOf(l)} mode ${l.linkmode} group ${l.group} qlen ${l.txqlen}\n`;
    text += `    link/${l.link_type} ${l.address} brd ${l.broadcast}${netns(l)}\n`;
    if (stats) text += statsText(l.stats64.rx, l.stats64.tx);
  }
  return text;
}

const RX_HEAD = "    RX:  bytes packets errors dropped  missed   mcast           \n";
const TX_HEAD = "    TX:  bytes packets errors dropped carrier collsns           \n";

/** print_stats64: columns as wide as the longest number of either direction. */
function statsText(rx: LinkStats, tx: LinkStats): string {
  const rows = [rx, tx].map((s) => [s.bytes, s.packets, s.errors, s.dropped, 0, 0].map(String));
  const width = [10, 7, 6, 7, 7, 7].map((w, i) => Math.max(w, ...rows.map((row) => row[i].length)));
  const line = (row: string[]): string => `    ${row.map((n, i) => n.padStart(width[i])).join(" ")} \n`;
  return RX_HEAD + line(rows[0]) + TX_HEAD + line(rows[1]);
}

const SCOPES: Record<number, string> = {
  [Scope.UNIVERSE]: "global",
  [Scope.LINK]: "link",
  [Scope.HOST]: "host",
  [Scope.NOWHERE]: "nowhere",
};

/** The addresses of a device as the kernel keeps them: primary ones by scope, then secondary ones. */
function addressesOf(w: Walk, d: number): AddressInfo[] {
  const { inet, dev } = w.k;
  const rows: number[] = [];
  for (let r = inet.firstOf(d); r >= 0; r = inet.next[r]) rows.push(r);
  const place = (r: number): number => (inet.secondary[r] === 1 ? 256 : inet.scope[r]);
  return rows
    .map((r, i) => ({ r, i }))
    .sort((a, b) => place(a.r) - place(b.r) || a.i - b.i)
    .map(({ r }) => ({
      family: "inet",
      local: formatIpv4(inet.addr[r]),
      prefixlen: inet.length[r],
      scope: SCOPES[inet.scope[r]] ?? String(inet.scope[r]),
      ...(inet.secondary[r] === 1 ? { secondary: true as const } : {}),
      label: dev.name[d],
    }));
}

/** Devices with at least one IPv4 address. */
export function addresses(w: Walk, ns: number): LinkAddresses[] {
  const found: LinkAddresses[] = [];
  for (let d = w.k.ns.firstDev[ns]; d >= 0; d = w.k.dev.nextInNs[d]) {
    const info = addressesOf(w, d);
    if (info.length > 0) found.push({ ...linkInfo(w, d), addr_info: info });
  }
  return found;
}

export function showAddresses(w: Walk, ns: number): string {
  let text = "";
  for (const l of addresses(w, ns)) {
    text += `${headOf(l)} group ${l.group} qlen ${l.txqlen}${netns(l)}\n`;
    for (const a of l.addr_info) {
      const secondary = a.secondary === true ? "secondary " : "";
      text += `    inet ${a.local}/${a.prefixlen} scope ${a.scope} ${secondary}${a.label}\n`;
      text += "       valid_lft forever preferred_lft forever\n";
    }
  }
  return text;
}

/** Ageing time of a bridge that has no other set, ns. */
const AGEING = 300e9;
const STATE_ORDER: readonly string[] = ["", "static", "permanent"];

/** Entries of every bridge of a namespace by port, learned ones first (Linux: of a port, newest first). */
export function fdbEntries(w: Walk, ns: number): FdbInfo[] {
  const { k } = w;
  w.cache.flush();
  const { fdb } = w.link;
  const byPort = new Map<number, FdbInfo[]>();
  for (let row = 0; row < fdb.rows.used; row++) {
    const bridge = fdb.bridge[row];
    if (bridge < 0 || k.dev.ns[bridge] !== ns) continue;
    const flags = fdb.flags[row];
    // Past its ageing time, and gone at the next look-up.
    if (flags === 0 && fdb.updated[row] + (fdb.ageing.get(bridge) ?? AGEING) <= k.clock.now) continue;
    const port = fdb.port[row];
    const state = flags & FdbFlag.LOCAL ? "permanent" : flags & FdbFlag.STATIC ? "static" : "";
    const mac = formatMac(fdb.macHi[row], fdb.macLo[row]);
    const entry = { mac, ifname: k.dev.name[port], flags: [], master: k.dev.name[bridge], state };
    const list = byPort.get(port);
    if (list === undefined) byPort.set(port, [entry]);
    else list.push(entry);
  }
  const found: FdbInfo[] = [];
  for (let d = k.ns.firstDev[ns]; d >= 0; d = k.dev.nextInNs[d]) {
    const list = byPort.get(d) ?? [];
    const place = (e: FdbInfo): number => STATE_ORDER.indexOf(e.state);
    list.sort((a, b) => place(a) - place(b) || (a.mac < b.mac ? -1 : 1));
    found.push(...list);
  }
  return found;
}

export function showFdb(w: Walk, ns: number): string {
  return fdbEntries(w, ns)
    .map((e) => `${e.mac} dev ${e.ifname} master ${e.master} ${e.state}\n`)
    .join("");
}
