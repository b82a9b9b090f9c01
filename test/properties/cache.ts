// One emulation of a random topology under random traffic and random changes, with the flow cache on or off:
// what arrived where, when and in which order, byte for byte, and the whole state at the end. Both must be
// equal (design.md idea 3).

import { Random } from "../../src/core/random.ts";
import type { Net } from "../../src/emulator/net.ts";
import type { CniMode, NetworkPolicyOptions, PolicyPeer } from "../../src/emulator/spec.ts";
import { ms, sec } from "../../src/emulator/units.ts";
import { RouteType } from "../../src/ip/fib.ts";
import { Nud } from "../../src/ip/neigh-table.ts";
import { FdbFlag } from "../../src/link/fdb.ts";
import type { NetemConfig } from "../../src/link/netem-config.ts";
import { DevKind } from "../../src/node/net-device.ts";
import { nsSysctl } from "../../src/node/sysctl.ts";
import { SocketKind } from "../../src/socket/sockets.ts";
import { sourceOpen, sourceStart } from "../../src/socket/source.ts";
import { tcpConnect, tcpListen, tcpReceive, tcpSend } from "../../src/socket/tcp/calls.ts";
import { TcpState } from "../../src/socket/tcp/state.ts";
import { PROTO_ICMP, PROTO_UDP } from "../../src/wire/ipv4.ts";
import { AZURE_CHANGES, type Change, FRONTENDS } from "./azure.ts";
import { between, chance, pick } from "./draw.ts";
import { randomTopology } from "./world.ts";

export interface CacheRun {
  seed: number;
  cni: CniMode;
}

export interface CacheResult {
  net: Net;
  /** Arrivals in order: when, which packet, where, and its IP packet. */
  arrivals: string[];
  /** Flows the cache knew at most. */
  cached: number;
}

const LENGTH = ms(300);
const STEP = ms(20);
const SERVICES = ["a", "b", "c", "d"];
const POLICIES = ["first", "second"];
const TIERS = ["front", "back"];
const MOST_ARRIVALS = 4000;

export function runWith({ seed, cni }: CacheRun, flowCache: boolean): CacheResult {
  const r = new Random(seed, `cache ${cni}`);
  const azure = new Random(seed, `cache azure ${cni}`);
  const net = randomTopology(r, seed, { cni, azure, atOnce: chance(r, 0.8) }).build({ flowCache });
  const arrivals = watchArrivals(net);
  const names = net.hosts.hostNames().sort();
  for (let i = between(r, 2, 6); i > 0; i--) openStream(r, net, names, i);
  for (let i = between(azure, 0, 4); i > 0; i--) openStream(azure, net, vms(names), 20 + i, names);
  if (net.spec.loadBalancers.length > 0) openPublic(azure, net, names);
  const talks = conversations(r, net, names);
  for (let i = chance(azure, 0.5) ? between(azure, 1, 6) : 0; i > 0; i--)
    impair(azure, net, pick(azure, names));
  for (let i = between(r, 0, 12); i > 0; i--) change(r, net, names, CHANGES);
  if (chance(azure, 0.4)) net.soon.networkPolicy(pick(azure, POLICIES), randomPolicy(azure));
  for (let i = between(azure, 0, 4); i > 0; i--) change(azure, net, names, AZURE_CHANGES);
  const bridges = new Random(seed, `cache bridges ${cni}`);
  for (let i = between(bridges, 0, 3); i > 0; i--) change(bridges, net, names, [forgetAddress]);
  let cached = 0;
  for (let at = STEP; at <= LENGTH; at += STEP) {
    net.run({ until: at });
    for (const talk of talks) talk();
    cached = Math.max(cached, net.walk.cache.size);
    if (chance(r, 0.1)) net.walk.cache.flush();
  }
  // Idle connections, aged entries and neighbours that went stale; and then again, with another change.
  for (const s of net.script.streams) net.stopTraffic(s.row);
  net.run({ for: sec(pick(r, [1, 31, 130, 400])) });
  const left = net.hosts.hostNames().sort();
  for (let i = between(r, 1, 3); i > 0; i--) openStream(r, net, left, 10 + i);
  change(r, net, left, CHANGES);
  change(azure, net, left, AZURE_CHANGES);
  net.run({ for: LENGTH });
  cached = Math.max(cached, net.walk.cache.size);
  for (const s of net.script.streams) net.stopTraffic(s.row);
  net.run({ for: sec(10) });
  net.walk.cache.flush();
  return { net, arrivals, cached };
}

/** Every packet that reaches a socket, as it arrives. */
function watchArrivals(net: Net): string[] {
  const { k } = net.walk;
  const { skb } = k;
  const arrivals: string[] = [];
  k.watch = {
    arrived(f) {
      if (arrivals.length === MOST_ARRIVALS) return;
      const bytes = Buffer.from(skb.bytes.subarray(skb.l3[f], skb.end(f))).toString("hex");
      arrivals.push(`${k.clock.now} #${skb.packet[f]} ns ${skb.ns[f]} dev ${skb.dev[f]} ${bytes}`);
    },
    dropped(f, reason) {
      if (arrivals.length < MOST_ARRIVALS)
        arrivals.push(`${k.clock.now} #${skb.packet[f]} dropped ${reason}`);
    },
  };
  return arrivals;
}

const vms = (names: string[]): string[] => names.filter((one) => /^(vm|desk|hubvm|guard|watch)/.test(one));

/** Streams that public addresses, SNAT and load balancers translate. */
function openPublic(r: Random, net: Net, names: string[]): void {
  for (let i = between(r, 1, 4); i > 0; i--) {
    const firstPort = 10_000 + (40 + i) * 10;
    const many = { flows: between(r, 1, 6), rate: between(r, 500, 4000), frameBytes: 64, firstPort };
    net.traffic({ from: pick(r, names), to: pick(r, FRONTENDS), ...many, at: net.now + r.below(ms(60)) });
  }
}

/** A stream from one host to another of the same, or from anyone when `to` names whom it may be for. */
function openStream(r: Random, net: Net, names: string[], i: number, others?: string[]): void {
  if (names.length === 0) return;
  const from = chance(r, 0.7) && names.includes("client") ? "client" : pick(r, others ?? names);
  const service = others === undefined && chance(r, 0.6);
  const to = service ? `${pick(r, SERVICES)}:80` : `${pick(r, names)}:${pick(r, [7, 8080, 5432, 9000])}`;
  const flows = between(r, 1, 6);
  const rate = between(r, 500, 8000);
  const frameBytes = chance(r, 0.8) ? 64 : between(r, 64, 1518);
  if (chance(r, 0.25)) return ping(r, net, from, pick(r, names), i);
  net.traffic({
    from,
    to,
    flows,
    rate,
    frameBytes,
    firstPort: 10_000 + i * 10,
    at: net.now + r.below(ms(60)),
  });
}

/** TCP connections to echoing pods: each call of an answer sends some bytes and reads what came back. */
function conversations(r: Random, net: Net, names: string[]): (() => void)[] {
  const { tcp } = net.walk.sock;
  const talks: (() => void)[] = [];
  for (const name of names.filter((one) => /^[abcd]-/.test(one))) {
    tcpListen(tcp, net.hosts.host(name).ns, 10, { kind: SocketKind.ECHO, port: 8080 });
  }
  const servers = names.filter((name) => /^[abcd]-/.test(name));
  for (let i = servers.length > 0 ? between(r, 0, 5) : 0; i > 0; i--) {
    const from = net.hosts.host(pick(r, names)).ns;
    const to = pick(r, chance(r, 0.9) ? servers : names);
    const service = net.clusters[0]!.services[r.below(4)]!;
    const [addr, port] = chance(r, 0.5) ? [service.clusterIp, 81] : [net.hosts.host(to).ip, 8080];
    const row = tcpConnect(tcp, from, addr, port, { kind: SocketKind.SCRIPT, noDelay: chance(r, 0.5) });
    if (row < 0) continue;
    const draw = new Random(r.u32(), "talk");
    const data = new Uint8Array(6000);
    talks.push(() => {
      if (tcp.state[row] === TcpState.FREE || tcp.ns[row] !== from) return;
      if (tcp.remoteAddr[row] !== addr || tcp.remotePort[row] !== port) return;
      for (let j = between(draw, 0, 3); j > 0; j--) tcpSend(tcp, row, data, 0, draw.below(data.length));
      tcpReceive(tcp, row, data, 0, data.length);
      net.walk.drain();
    });
  }
  return talks;
}

/** Echo requests of a stream of their own. */
function ping(r: Random, net: Net, from: string, to: string, i: number): void {
  const { sock } = net.walk;
  const row = sourceOpen(sock, net.hosts.host(from).ns, {
    proto: PROTO_ICMP,
    dst: net.hosts.host(to).ip,
    port: 0,
    flows: between(r, 1, 3),
    firstPort: 20_000 + i * 10,
    frameBytes: 64 + r.below(100),
  });
  if (row >= 0) sourceStart(sock, row, between(r, 200, 2000), between(r, 1, 3), between(r, 5, 200));
}

/** One change of anything a walk consults, at some time. */
function change(r: Random, net: Net, names: string[], changes: readonly Change[]): void {
  const what = r.below(changes.length);
  const draw = new Random(r.u32(), "change");
  const host = pick(r, names);
  net.at(net.now + r.below(LENGTH)).call(() => {
    if (net.hosts.find(host) !== null) changes[what]!(draw, net, host);
  });
}

/** A link that holds what it carries, for good. */
function impair(r: Random, net: Net, host: string): void {
  const { netem } = net.walk.link;
  const config: NetemConfig = { delay: pick(r, [0, 1, 20_000, ms(1)]) };
  if (chance(r, 0.4)) config.rate = pick(r, [1e6, 2e7, 1e9]);
  if (config.rate !== undefined && chance(r, 0.5)) config.limitPackets = between(r, 0, 8);
  if (chance(r, 0.2)) config.jitter = r.below(config.delay! + 1);
  if (chance(r, 0.2)) config.ordered = false;
  if (chance(r, 0.2)) config.loss = 0.1;
  if (chance(r, 0.2)) config.duplicate = 0.2;
  if (chance(r, 0.2)) config.corrupt = 0.1;
  if (chance(r, 0.2) && config.delay! > 0) config.reorder = 0.2;
  netem.attach(anyDevice(r, net, host), config);
}

const onOff = (net: Net, after: number, undo: () => void): void => {
  net.at(net.now + after).call(undo);
};

export const CHANGES: readonly Change[] = [
  (r, net) => net.soon.scale(pick(r, SERVICES), r.below(6)),
  (r, net) => net.soon.churn(pick(r, SERVICES), ms(3), 1 + r.below(4)),
  (r, net, host) => {
    if (!net.pods.byName.has(host)) return;
    if (chance(r, 0.3)) net.soon.failPod(host);
    else if (chance(r, 0.5)) net.soon.replacePod(host);
    else net.soon.removePod(host);
  },
  (r, net, host) => {
    const { k } = net.walk;
    const { ns } = net.hosts.host(host);
    const name = pick(r, ["net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter"] as const);
    const old = k.nsValue(ns, nsSysctl(name));
    k.setNsSysctl(ns, name, r.below(2));
    onOff(net, r.below(ms(50)), () => k.ns.alive[ns] === 1 && k.setNsSysctl(ns, name, old));
  },
  (r, net, host) => {
    const { k } = net.walk;
    const d = anyDevice(r, net, host);
    k.setUp(d, false);
    const { ns } = net.hosts.host(host);
    onOff(
      net,
      r.below(ms(40)),
      () => k.dev.ns[d] === ns && k.dev.kind[d] !== DevKind.NONE && k.setUp(d, true),
    );
  },
  (r, net, host) => net.walk.link.setMtu(anyDevice(r, net, host), pick(r, [100, 576, 1400, 1500])),
  (r, net, host) => {
    const handle = net.soon.impair(
      `${host}/eth0`,
      pick(r, [{ delay: ms(1) }, { loss: 0.3 }, { delay: 1000 }]),
    );
    onOff(net, r.below(ms(60)), () => handle.remove());
  },
  (r, net, host) => net.walk.ip.neigh.flushDevice(anyDevice(r, net, host), chance(r, 0.3)),
  (r, net, host) => {
    const { table } = net.walk.ip.neigh;
    const d = anyDevice(r, net, host);
    const n = table.firstOf(d);
    if (n >= 0)
      net.walk.ip.neigh.set(d, table.addr[n]!, 0x0200, r.u32() | 0, pick(r, [Nud.STALE, Nud.PERMANENT]));
  },
  (r, net, host) => {
    const { fib } = net.walk.ip;
    const { ns } = net.hosts.host(host);
    const dst = net.pods.ip[r.below(net.pods.ids.used)]!;
    const length = pick(r, [32, 32, 24, 16, 0]);
    const type = pick(r, [RouteType.BLACKHOLE, RouteType.UNREACHABLE, RouteType.PROHIBIT]);
    fib.add({ ns, dst, length, type, dev: -1 });
    onOff(net, r.below(ms(40)), () => void (net.walk.k.ns.alive[ns] && fib.remove(ns, dst, length, -1, 0)));
  },
  forgetAddress,
  (r, net, host) => {
    const d = anyDevice(r, net, host);
    const flag = pick(r, ["HAIRPIN", "ISOLATED", "LEARNING"] as const);
    net.walk.link.bridges.setPortFlag(d, flag, chance(r, 0.5));
  },
  (_, net, host) => net.walk.nf.t.flush(net.hosts.host(host).ns),
  (r, net) => {
    const { t } = net.walk.nf;
    const e = r.below(Math.max(1, t.ids.used));
    if (t.ids.used > 0 && t.isLive(e)) t.kill(e);
  },
  (_, net, host) => {
    const nic = net.walk.k.dev.nic[net.hosts.host(host).dev]!;
    if (nic < 0) return;
    net.walk.vnet.setIpForwarding(nic, false);
    onOff(net, ms(20), () => net.walk.vnet.nics.alive[nic] === 1 && net.walk.vnet.setIpForwarding(nic, true));
  },
  (r, net, host) => {
    const nic = net.walk.k.dev.nic[net.hosts.host(host).dev]!;
    if (nic >= 0) net.walk.vnet.setMtu(nic, pick(r, [100, 1400, 1500]));
  },
  (_, net, host) => {
    const { ns } = net.hosts.host(host);
    net.walk.vnet.setVmRunning(ns, false);
    onOff(net, ms(15), () => net.walk.k.ns.alive[ns] === 1 && net.walk.vnet.setVmRunning(ns, true));
  },
  (r, net) => {
    const cluster = net.clusters[0]!;
    const service = pick(r, cluster.services);
    const { table } = cluster;
    // A Service on a pod's own address and port: what nobody should do, and a walk would notice.
    const vip = net.pods.ip[r.below(net.pods.ids.used)]!;
    if (table.find(vip, PROTO_UDP, 8080, table.revision) < 0 && service !== undefined)
      table.addServicePort(`odd-${table.revision}`, vip, PROTO_UDP, 8080);
  },
  (r, net) => net.soon.networkPolicy(pick(r, POLICIES), randomPolicy(r)),
  (r, net) => void net.clusters[0]!.removePolicy("default", pick(r, POLICIES)),
  (r, net) => net.soon.label(pick(r, SERVICES), { app: pick(r, SERVICES), tier: pick(r, TIERS) }),
  (r, net) => net.soon.labelNamespace("default", { tier: pick(r, TIERS) }),
  (_, net, host) => {
    net.walk.k.observing = true;
    void host;
    onOff(net, ms(10), () => {
      net.walk.k.observing = false;
    });
  },
];

/** `bridge fdb` on the bridge of the host: entries deleted, or put on another port. */
function forgetAddress(r: Random, net: Net, host: string): void {
  const { fdb } = net.walk.link;
  const { dev } = net.walk.k;
  const d = anyDevice(r, net, host);
  const behind = dev.kind[d] === DevKind.VETH ? dev.peer[d]! : d;
  const bridge = dev.kind[d] === DevKind.BRIDGE ? d : Math.max(dev.master[d]!, dev.master[behind]!);
  if (bridge < 0) return;
  const [rows, ports]: [number[], number[]] = [[], []];
  for (let row = 0; row < fdb.rows.used; row++) if (fdb.bridge[row] === bridge) rows.push(row);
  for (let p = 0; p < dev.ids.used; p++) if (dev.master[p] === bridge) ports.push(p);
  if (rows.length === 0 || ports.length === 0) return;
  const row = pick(r, rows);
  const [hi, lo, port] = [fdb.macHi[row]!, fdb.macLo[row]!, pick(r, ports)];
  if (chance(r, 0.2)) fdb.removePort(bridge, port, false);
  else if (chance(r, 0.6)) fdb.removeAddress(bridge, hi, lo);
  else fdb.insert(bridge, port, hi, lo, pick(r, [0, FdbFlag.STATIC]));
}

function randomPolicy(r: Random): NetworkPolicyOptions {
  const peer = (): PolicyPeer =>
    pick(r, [
      { podSelector: { matchLabels: { tier: pick(r, TIERS) } } },
      { podSelector: {} },
      { namespaceSelector: { matchLabels: { tier: pick(r, TIERS) } } },
      { ipBlock: { cidr: pick(r, ["10.224.0.0/12", "10.225.0.0/24"]) } },
    ]);
  const podSelector = chance(r, 0.5) ? {} : { matchLabels: { app: pick(r, SERVICES) } };
  const open = chance(r, 0.7);
  return {
    podSelector,
    ...(chance(r, 0.7) ? { ingress: open ? [{ from: [peer(), peer()] }] : [] } : {}),
    ...(chance(r, 0.4) ? { egress: open ? [{ to: [peer(), peer()] }] : [] } : {}),
  };
}

/** A device of the host, or of the node's end of it. */
function anyDevice(r: Random, net: Net, host: string): number {
  const { k } = net.walk;
  const { ns, dev } = net.hosts.host(host);
  if (chance(r, 0.4)) return dev;
  const all: number[] = [];
  for (let d = k.ns.firstDev[ns]!; d >= 0; d = k.dev.nextInNs[d]!) if (d !== k.ns.loopback[ns]) all.push(d);
  const d = pick(r, all);
  return k.dev.kind[d] === DevKind.VETH && chance(r, 0.5) ? k.dev.peer[d]! : d;
}

/** Not state, or the cache's own: frames that ended, queues that are empty, what is remembered. */
const NOT_COMPARED = new Set([
  "skb",
  "consulted",
  "cache",
  "emitter",
  "legs",
  "backlog",
  "softnet",
  "links",
  "memo",
  "walked",
  "spared",
  "cachedAhead",
  "watch",
  "notes",
  "frameOwner",
  "lists",
  "quoted",
  "rtType",
  "rtDev",
  "rtNexthop",
  "rtSource",
  "rtMtu",
]);

/** Where two emulations differ, as a path with both values; null when nowhere. */
export function stateDifference(a: Net, b: Net): string | null {
  const live = [a.walk.k.skb.live, b.walk.k.skb.live];
  if (live[0] !== live[1]) return `frames alive: ${live.join(" and ")}`;
  return compare(a.walk, b.walk, "walk", new Set());
}

function compare(a: unknown, b: unknown, path: string, seen: Set<unknown>): string | null {
  if (typeof a === "function" && typeof b === "function") return null;
  if (typeof a !== "object" || a === null || typeof b !== "object" || b === null)
    return Object.is(a, b) ? null : `${path}: ${String(a)} and ${String(b)}`;
  if (seen.has(a)) return null;
  seen.add(a);
  if (a instanceof DataView) return null;
  if (ArrayBuffer.isView(a)) return compareArrays(a as Uint8Array, b as Uint8Array, path);
  if (a instanceof Map || a instanceof Set) return compare([...a], [...(b as Set<unknown>)], path, seen);
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  for (const key of keys) {
    if (NOT_COMPARED.has(key)) continue;
    const found = compare((a as never)[key], (b as never)[key], `${path}.${key}`, seen);
    if (found !== null) return found;
  }
  return null;
}

function compareArrays(a: Uint8Array, b: Uint8Array, path: string): string | null {
  if (a.length !== b.length) return `${path}: ${a.length} and ${b.length} elements`;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return `${path}[${i}]: ${a[i]} and ${b[i]}`;
  return null;
}
