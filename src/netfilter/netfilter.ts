// The netfilter state of every kernel of the emulation: the connection table, what each namespace has loaded
// (kube-proxy's rules and their settings, masquerade rules) and the random streams. Hooks are in hooks.ts.
//
// A namespace runs hooks once k.ns.netfilter is 1, which enable() and attachServices() set: the conntrack and
// nat hooks come with the first rule in the kernel, too.

import { assert } from "../core/assert.ts";
import { growI32, growU8, growU16 } from "../core/columns.ts";
import { prefixMask } from "../core/prefix-table.ts";
import { Random } from "../core/random.ts";
import { Noted } from "../node/consulted.ts";
import type { DeviceListener, FrameOwner, Kernel } from "../node/kernel.ts";
import { PROTO_UDP } from "../wire/ipv4.ts";
import { ConntrackTable } from "./conntrack-table.ts";
import { ANY_LOCAL, addressRanges, inRanges } from "./frontends.ts";
import { HostPorts } from "./host-ports.ts";
import { IpVs, type IpVsOptions } from "./ip-vs-state.ts";
import { bindServicePort, startIpVs, unbindOthers } from "./kube-ip-vs.ts";
import { killMasqueraded } from "./masquerade.ts";
import { type MasqueradeRule, MasqueradeRules } from "./masquerade-rules.ts";
import type { PolicyTable } from "./network-policy.ts";
import { Change } from "./revisions.ts";
import type { ServiceListener, ServiceTable } from "./service-table.ts";
import { Destinations, hasFlows, killLeaf, reconcileEndpoint, reconcilePort } from "./udp-cleanup.ts";

export const Balance = { ROUND_ROBIN: 0, IPTABLES: 1, NFTABLES: 2, IPVS: 3 } as const;
export type BalanceName = "round-robin" | "iptables" | "nftables" | "ipvs";
const BALANCE_BY_NAME = {
  "round-robin": Balance.ROUND_ROBIN,
  iptables: Balance.IPTABLES,
  nftables: Balance.NFTABLES,
  ipvs: Balance.IPVS,
};

const LOCALHOST = 0x7f000001;

export interface Prefix {
  readonly network: number;
  readonly prefix: number;
}

/** How one node's kube-proxy is run. */
export interface ProxyOptions {
  /**
   * Choice of the endpoint, and with "nftables" and "ipvs" the rule set of that mode. Default round-robin
   * over the iptables rules.
   */
  balance?: BalanceName;
  /** Settings of the ipvs mode. */
  ipvs?: IpVsOptions;
  /**
   * Exact round-robin whatever the rule set (`numgen inc`, `statistic --mode nth`). Default: as `balance`.
   */
  inTurn?: boolean;
  /** --masquerade-all. */
  masqueradeAll?: boolean;
  /**
   * --cluster-cidr for the local-traffic detector; without it nobody is "not local" and the rule is absent.
   */
  clusterCidr?: Prefix;
  /** The node's own address: the one that is primary for NodePorts, and that source ranges are held to. */
  nodeIp?: number;
  /** --nodeport-addresses. Default all local addresses; in nftables mode only `nodeIp`. */
  nodePortAddresses?: readonly Prefix[];
  /** --iptables-localhost-nodeports: 127/8 is among those addresses. Default true; never in nftables mode. */
  localhostNodePorts?: boolean;
  /** Service CIDR: in nftables mode an unallocated address in it is dropped. */
  serviceCidr?: Prefix;
  /** The KUBE-FORWARD rule that drops INVALID. Default: as the mode has it (nftables: no). */
  dropInvalid?: boolean;
  /** Policy of the FORWARD chain. Default accept. */
  forwardPolicy?: "accept" | "drop";
  /** MASQUERADE --random-fully. Default true, as kube-proxy does where the binary supports it. */
  randomFully?: boolean;
  /** True: the node sees a change only after sync(). */
  delayed?: boolean;
  /** False: kube-proxy's conntrack cleanup (K 2.8) runs only when cleanUp() asks for it. Default true. */
  cleanup?: boolean;
}

/** Bits of `flags`. */
export const ProxyFlag = {
  MASQUERADE_ALL: 1,
  CLUSTER_CIDR: 2,
  DROP_INVALID: 4,
  FORWARD_DROP: 8,
  RANDOM_FULLY: 16,
  SERVICE_CIDR: 32,
  DELAYED: 64,
  IN_TURN: 128,
  CLEANUP_ASKED: 256,
  LOCALHOST_PORTS: 512,
  IP_VS: 1024,
  /** It has UDP service ports to reconcile. */
  STALE: 2048,
} as const;

export class Netfilter implements FrameOwner, DeviceListener, ServiceListener {
  readonly k: Kernel;
  readonly t: ConntrackTable;
  readonly masquerade = new MasqueradeRules();
  readonly hostPorts = new HostPorts();
  readonly ipvs: IpVs;
  /** One stream per question, so that more of one never moves the answers of the other. */
  readonly portRandom: Random;
  readonly balanceRandom: Random;

  // Per namespace.
  /** Row in `services`; -1 when the namespace has no Service table. */
  table = new Int32Array(64).fill(-1);
  flags = new Uint16Array(64);
  balance = new Uint8Array(64);
  clusterNet = new Int32Array(64);
  clusterMask = new Int32Array(64);
  serviceNet = new Int32Array(64);
  serviceMask = new Int32Array(64);
  nodeIp = new Int32Array(64);
  /** Pairs of network and mask; null: as the mode has it. */
  nodePortRanges: (Int32Array | null)[] = [];
  /** NetworkPolicies of the cluster; null: none. */
  policies: (PolicyTable | null)[] = [];
  /** Revision a delayed node has reached. */
  private reached = new Int32Array(64);
  readonly services: ServiceTable[] = [];
  /** UDP service ports a namespace has yet to reconcile (K 2.8 runs only when UDP endpoints changed). */
  private stale: number[][] = [];
  private readonly destinations = new Destinations();
  /** Namespaces without delay that have such ports. */
  private staleNodes: number[] = [];

  constructor(k: Kernel) {
    this.k = k;
    this.t = new ConntrackTable(k);
    this.ipvs = new IpVs(k);
    this.portRandom = new Random(k.options.seed, "nf_nat ports");
    this.balanceRandom = new Random(k.options.seed, "kube-proxy balance");
    k.frameOwner = this;
    k.listeners.push(this);
  }

  /** Loads conntrack and nat without Services. */
  enable(ns: number): void {
    this.ensure(ns);
    this.k.consulted.changed(Noted.NAMESPACE, ns, 0);
    this.k.ns.netfilter[ns] = 1;
  }

  attachServices(ns: number, table: ServiceTable, options: ProxyOptions = {}): void {
    this.enable(ns);
    assert(this.table[ns] < 0, "a namespace has one Service table");
    let row = this.services.indexOf(table);
    if (row < 0) row = this.services.push(table) - 1;
    assert(table.listener === null || table.listener === this, "a Service table belongs to one emulation");
    table.listener = this;
    this.table[ns] = row;
    const balance = BALANCE_BY_NAME[options.balance ?? "round-robin"];
    this.balance[ns] = balance;
    let flags = 0;
    if (options.masqueradeAll) flags |= ProxyFlag.MASQUERADE_ALL;
    if (options.dropInvalid ?? balance < Balance.NFTABLES) flags |= ProxyFlag.DROP_INVALID;
    if (options.forwardPolicy === "drop") flags |= ProxyFlag.FORWARD_DROP;
    if (options.randomFully ?? true) flags |= ProxyFlag.RANDOM_FULLY;
    if (options.delayed) flags |= ProxyFlag.DELAYED;
    if (balance === Balance.IPVS) flags |= ProxyFlag.IP_VS;
    if (options.inTurn ?? balance === Balance.ROUND_ROBIN) flags |= ProxyFlag.IN_TURN;
    if (options.cleanup === false) flags |= ProxyFlag.CLEANUP_ASKED;
    if (options.clusterCidr) {
      flags |= ProxyFlag.CLUSTER_CIDR;
      this.clusterMask[ns] = prefixMask(options.clusterCidr.prefix);
      this.clusterNet[ns] = options.clusterCidr.network & this.clusterMask[ns];
    }
    if (options.serviceCidr) {
      flags |= ProxyFlag.SERVICE_CIDR;
      this.serviceMask[ns] = prefixMask(options.serviceCidr.prefix);
      this.serviceNet[ns] = options.serviceCidr.network & this.serviceMask[ns];
    }
    const ports = options.nodePortAddresses;
    const ranges = ports === undefined ? null : addressRanges(ports);
    const hasLoopback = ranges === null || inRanges(ranges, LOCALHOST);
    const wanted = (options.localhostNodePorts ?? true) && balance < Balance.NFTABLES;
    if (wanted && hasLoopback) flags |= ProxyFlag.LOCALHOST_PORTS;
    this.nodePortRanges[ns] = ranges;
    this.nodeIp[ns] = options.nodeIp ?? 0;
    this.flags[ns] = flags;
    this.reached[ns] = options.delayed ? table.follow() : 0;
    this.stale[ns] = [];
    this.policies[ns] = null;
    this.t.flows.track(ns, true);
    if (balance === Balance.IPVS) startIpVs(this, ns, options.ipvs ?? {});
  }

  /** The node goes away: its entries, cursors and rules with it. */
  detach(ns: number): void {
    if (ns >= this.table.length) return;
    this.t.flush(ns);
    this.k.ns.netfilter[ns] = 0;
    this.removeRules(ns);
    this.ipvs.bound.removeNode(ns);
  }

  /** Every rule goes, entries stay: translations under way go on (K 2.7). */
  removeRules(ns: number): void {
    this.masquerade.remove(ns);
    if (this.table[ns] >= 0) this.t.flows.track(ns, false);
    this.removeServices(ns);
  }

  /** kube-proxy's rules go, and those of NetworkPolicies. */
  removeServices(ns: number): void {
    this.k.consulted.changed(Noted.NAMESPACE, ns, 0);
    if (this.table[ns] < 0) return;
    const table = this.services[this.table[ns]];
    if (this.flags[ns] & ProxyFlag.DELAYED) table.unfollow(this.reached[ns]);
    table.cursors.removeNode(ns);
    table.affinities.removeNode(ns);
    this.ipvs.stop(ns);
    this.table[ns] = -1;
    this.flags[ns] = 0;
    this.stale[ns] = [];
  }

  /** A delayed node has written the rules of this revision. */
  sync(ns: number, revision: number): void {
    const table = this.services[this.table[ns]];
    const from = this.reached[ns];
    assert((this.flags[ns] & ProxyFlag.DELAYED) !== 0, "only a delayed node syncs");
    if (revision <= from) return;
    const asked = (this.flags[ns] & ProxyFlag.CLEANUP_ASKED) !== 0;
    let trigger = false;
    for (let r = from + 1; r <= revision; r++) {
      const kind = table.revisions.kindAt(r);
      const port = table.revisions.portAt(r);
      this.answersChange(table, this.table[ns], port);
      if (kind === Change.OTHER || kind === Change.GONE) continue;
      if (kind === Change.UDP_ENDPOINTS) trigger = true;
      if (kind === Change.UDP_ENDPOINTS && !asked) {
        reconcileEndpoint(this.t, this.destinations, table, ns, port, table.revisions.addressAt(r), revision);
      } else if (hasFlows(this.t.flows, this.destinations, table, ns, port, revision)) {
        // Only what the node has flows to can have anything to clean.
        this.markStale(ns, port);
      }
    }
    this.reached[ns] = revision;
    if (this.flags[ns] & ProxyFlag.IP_VS) {
      for (let r = from + 1; r <= revision; r++) {
        this.bindAddresses(table, ns, table.revisions.kindAt(r), table.revisions.portAt(r));
      }
    }
    if (trigger && !asked) this.reconcile(ns);
    table.advance(from, revision);
  }

  /** A node that follows at once stays at the present revision, until release(). */
  hold(ns: number): void {
    this.reached[ns] = this.services[this.table[ns]].follow();
    this.flags[ns] |= ProxyFlag.DELAYED;
  }

  release(ns: number): void {
    const table = this.services[this.table[ns]];
    this.sync(ns, table.revision);
    this.flags[ns] &= ~ProxyFlag.DELAYED;
    table.unfollow(this.reached[ns]);
  }

  /**
   * kube-proxy's conntrack cleanup after what changed since the last one, for a node with `cleanup` false.
   */
  cleanUp(ns: number): void {
    this.reconcile(ns);
  }

  /** The clean-up after the first sync of a kube-proxy: every UDP service port counts as changed. */
  cleanUpAll(ns: number): void {
    if (this.flags[ns] & ProxyFlag.CLEANUP_ASKED) return;
    const table = this.services[this.table[ns]];
    const revision = this.revision(ns);
    for (let p = 0; p < table.ports.used; p++) {
      const isThere = table.added[p] <= revision && revision < table.removed[p] && table.name[p] !== "";
      if (isThere && table.proto[p] === PROTO_UDP) {
        reconcilePort(this.t, this.destinations, table, ns, p, revision);
      }
    }
  }

  /** Adds rules to POSTROUTING, after kube-proxy's. */
  addMasqueradeRule(ns: number, rule: MasqueradeRule): void {
    this.enable(ns);
    this.masquerade.add(ns, rule);
  }

  /** The revision whose rules this namespace has. */
  revision(ns: number): number {
    if (this.flags[ns] & ProxyFlag.DELAYED) return this.reached[ns];
    return this.services[this.table[ns]].revision;
  }

  /** The next reconciliation looks at all the node's flows to this service port. */
  markStale(ns: number, port: number): void {
    const list = this.stale[ns];
    if (list.includes(port)) return;
    const byItself = !(this.flags[ns] & (ProxyFlag.DELAYED | ProxyFlag.CLEANUP_ASKED));
    this.flags[ns] |= ProxyFlag.STALE;
    if (list.push(port) === 1 && byItself) this.staleNodes.push(ns);
  }

  // ---- listeners ----

  serviceChanged(table: ServiceTable, change: number, port: number, address: number): void {
    const row = this.services.indexOf(table);
    this.answersChange(table, row, port);
    for (const ns of this.ipvs.nodes) {
      if (this.table[ns] === row && !(this.flags[ns] & ProxyFlag.DELAYED)) {
        this.bindAddresses(table, ns, change, port);
      }
    }
    if (change === Change.OTHER || change === Change.GONE) return;
    if (change === Change.UDP_PORT) {
      this.portAdded(table, row, port);
      return;
    }
    if (!table.isServing(port, address, table.revision)) this.endpointGone(table, row, port, address);
    const due = this.staleNodes;
    this.staleNodes = [];
    for (const ns of due) {
      if (this.table[ns] === row) this.reconcile(ns);
      else if (this.table[ns] >= 0) this.staleNodes.push(ns);
    }
  }

  copied(f: number): void {
    this.t.get(this.k.skb.ct[f] >> 1);
  }

  ended(f: number): void {
    this.t.put(this.k.skb.ct[f] >> 1);
  }

  deviceUp(): void {}

  deviceDown(dev: number): void {
    killMasqueraded(this.t, dev, 0);
  }

  namespaceRemoved(ns: number): void {
    if (this.k.ns.netfilter[ns] !== 0) this.detach(ns);
  }

  addressAdded(): void {}

  addressRemoved(dev: number, addr: number): void {
    killMasqueraded(this.t, dev, addr);
  }

  // ---- internals ----

  // kube-ipvs0 follows.
  private bindAddresses(table: ServiceTable, ns: number, change: number, port: number): void {
    if (change === Change.GONE) unbindOthers(this, ns, table);
    else bindServicePort(this, ns, table, port);
  }

  // For the flow cache: what filter rules say to packets of connections that nobody has answered yet.
  // Frontends are few and change seldom, so they count as one.
  private answersChange(table: ServiceTable, row: number, port: number): void {
    this.k.consulted.changed(Noted.SERVICE, table.vip[port], row);
    if (table.frontends.ids.used > 0) this.k.consulted.changed(Noted.SERVICE, ANY_LOCAL, row);
  }

  /** Nodes with flows to the address have something to clean at the next change of endpoints. */
  private portAdded(table: ServiceTable, row: number, port: number): void {
    const { flows } = this.t;
    const { destinations } = this;
    destinations.collect(flows, table, port, table.revision);
    for (let i = 0; i < destinations.count; i++) {
      const root = flows.root(destinations.dst[i], destinations.dport[i]);
      for (let node = root < 0 ? -1 : flows.child[root]; node >= 0; node = flows.sibling[node]) {
        const ns = flows.ns[node];
        if (this.table[ns] === row && !(this.flags[ns] & ProxyFlag.DELAYED)) this.markStale(ns, port);
      }
    }
  }

  /** Its flows on the nodes that see the change at once. */
  private endpointGone(table: ServiceTable, row: number, port: number, address: number): void {
    const { destinations } = this;
    destinations.collect(this.t.flows, table, port, table.revision);
    for (let i = 0; i < destinations.count; i++) {
      this.endpointGoneAt(row, port, destinations.dst[i], destinations.dport[i], address);
    }
  }

  private endpointGoneAt(row: number, port: number, dst: number, dport: number, address: number): void {
    const { flows } = this.t;
    let leaf = flows.firstFrom(dst, dport, address);
    while (leaf >= 0) {
      // Killing the last entry of a leaf frees the leaf.
      const next = flows.peer[leaf];
      const ns = flows.ns[leaf];
      const flags = this.flags[ns];
      if (this.table[ns] === row && !(flags & ProxyFlag.DELAYED)) {
        if (flags & ProxyFlag.CLEANUP_ASKED) this.markStale(ns, port);
        else killLeaf(this.t, leaf);
      }
      leaf = next;
    }
  }

  private reconcile(ns: number): void {
    if ((this.flags[ns] & ProxyFlag.STALE) === 0) return;
    this.flags[ns] &= ~ProxyFlag.STALE;
    const table = this.services[this.table[ns]];
    for (const port of this.stale[ns])
      reconcilePort(this.t, this.destinations, table, ns, port, this.revision(ns));
    this.stale[ns].length = 0;
  }

  private ensure(ns: number): void {
    const used = this.table.length;
    if (ns < used) return;
    let n = used;
    while (n <= ns) n *= 2;
    this.table = growI32(this.table, n);
    this.table.fill(-1, used);
    this.flags = growU16(this.flags, n);
    this.balance = growU8(this.balance, n);
    this.clusterNet = growI32(this.clusterNet, n);
    this.clusterMask = growI32(this.clusterMask, n);
    this.serviceNet = growI32(this.serviceNet, n);
    this.serviceMask = growI32(this.serviceMask, n);
    this.nodeIp = growI32(this.nodeIp, n);
    this.reached = growI32(this.reached, n);
  }
}
