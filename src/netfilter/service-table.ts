// The Services of a cluster as kube-proxy sees them, one table shared by all its nodes: service ports by
// (ClusterIP, protocol, port), their endpoints in the order they were added, and a revision that counts
// changes. What a node makes of it (rules, cursor, revision reached) is in kube-proxy.ts; lists of usable
// endpoints are in endpoint-lists.ts.
//
// Round robin is exact. Each endpoint gets the next sequence number of its service port when it is added and
// keeps it. A node's cursor for a service port is the sequence number it picked last, and the next connection
// takes the usable endpoint with the lowest number above it, or the lowest of all. So an added endpoint comes
// at the end of the lap, the successor of a removed one is next, and one that becomes ready again takes its
// old place.
//
// Further addresses of a service port are in frontends.ts, who sticks to which endpoint in affinity.ts, what
// hints make of the cluster's list in topology-hints.ts.

import { assert } from "../core/assert.ts";
import { growF64, growI32, growU8, growU16, Ids } from "../core/columns.ts";
import { HashIndex, hash2, hash4 } from "../core/hash-index.ts";
import { PROTO_UDP } from "../wire/ipv4.ts";
import { Affinity } from "./affinity.ts";
import { keepLocalLists } from "./change-service-port.ts";
import { ClusterIps } from "./cluster-ips.ts";
import { Cursors } from "./cursors.ts";
import { CLUSTER, EndpointCondition, EndpointLists, firstAfter } from "./endpoint-lists.ts";
import { Frontends, type SourceRanges } from "./frontends.ts";
import { OldConditions } from "./old-conditions.ts";
import { relistIn } from "./relist.ts";
import { Change, Kept, Revisions } from "./revisions.ts";
import { hintedList, relistHints } from "./topology-hints.ts";

/** Revision at which a row that still exists was removed. */
const NOT_REMOVED = 0x7fffffff;

/** Told after each change, so that nodes that follow without delay act at once. */
export interface ServiceListener {
  /** @param address of the endpoint that changed, for Change.UDP_ENDPOINTS */
  serviceChanged(table: ServiceTable, change: number, port: number, address: number): void;
}

export interface ServicePortOptions {
  /** Session affinity ClientIP with this timeout, ns; 0: none. */
  affinity?: number;
  /** Its endpoints have topology hints. */
  hinted?: boolean;
}

export class ServiceTable {
  readonly revisions = new Revisions();
  readonly lists = new EndpointLists();
  readonly cursors = new Cursors();
  readonly frontends = new Frontends();
  readonly affinities = new Affinity();
  /** Zone of each node's namespace; beyond the end and -1: none. */
  zones = new Int32Array(64).fill(-1);
  listener: ServiceListener | null = null;

  // Service ports.
  name: string[] = [];
  vip = new Int32Array(64);
  proto = new Uint8Array(64);
  port = new Uint16Array(64);
  /** 1: internalTrafficPolicy Local. */
  local = new Uint8Array(64);
  /** 1: there is a list per node, too, as a policy is Local. */
  localLists = new Uint8Array(64);
  /** Session affinity's timeout, ns; 0: none. */
  affinity = new Float64Array(64);
  /** Revision since which it has session affinity: older records are not its own. */
  affinityBorn = new Int32Array(64);
  hinted = new Uint8Array(64);
  /** First of its frontends; -1: only the ClusterIP. */
  frontend0 = new Int32Array(64);
  added = new Int32Array(64);
  removed = new Int32Array(64);
  clusterList = new Int32Array(64);
  endpoints = new Int32Array(64);
  lists0 = new Int32Array(64);
  first = new Int32Array(64);
  private last = new Int32Array(64);
  private lastSeq = new Int32Array(64);
  readonly ports = new Ids();
  private readonly index = new HashIndex(64);
  private readonly vips = new ClusterIps();

  // Endpoints.
  epPort = new Int32Array(64);
  epIp = new Int32Array(64);
  epTarget = new Uint16Array(64);
  /** Namespace of the node the endpoint runs on; -1 when it runs on none of ours. */
  epNode = new Int32Array(64);
  epConditions = new Uint8Array(64);
  /** Hints: zone and node's namespace the endpoint is for; -1: none. */
  epZoneHint = new Int32Array(64);
  epNodeHint = new Int32Array(64);
  epSeq = new Int32Array(64);
  private epRemoved = new Int32Array(64);
  epNext = new Int32Array(64);
  private epPrev = new Int32Array(64);
  readonly eps = new Ids();
  private readonly epIndex = new HashIndex(64);
  private epSince = new Int32Array(64);
  private epOld = new Int32Array(64);
  private readonly olds = new OldConditions();

  /** Counts changes; each of the methods below makes one. */
  get revision(): number {
    return this.revisions.current;
  }

  // ---- changes ----

  /** @param local internalTrafficPolicy Local. */
  addServicePort(
    name: string,
    vip: number,
    proto: number,
    port: number,
    local = false,
    options: ServicePortOptions = {},
  ): number {
    assert(this.find(vip, proto, port, this.revision) < 0, "service port twice");
    const p = this.ports.take();
    if (p >= this.vip.length) this.growPorts();
    this.name[p] = name;
    this.vip[p] = vip;
    this.proto[p] = proto;
    this.port[p] = port;
    this.local[p] = local ? 1 : 0;
    this.localLists[p] = this.local[p];
    this.affinity[p] = options.affinity ?? 0;
    this.hinted[p] = options.hinted ? 1 : 0;
    this.frontend0[p] = -1;
    const change = proto === PROTO_UDP ? Change.UDP_PORT : Change.OTHER;
    const revision = this.revisions.bump(change, p);
    this.added[p] = revision;
    this.affinityBorn[p] = revision;
    this.removed[p] = NOT_REMOVED;
    this.clusterList[p] = this.lists.add(p, CLUSTER, -1, revision);
    this.lists0[p] = this.clusterList[p];
    this.endpoints[p] = 0;
    this.first[p] = -1;
    this.last[p] = -1;
    this.lastSeq[p] = 0;
    this.index.insert(hash4(vip, proto, port, 0), p);
    this.vips.add(p, vip);
    this.listener?.serviceChanged(this, change, p, 0);
    return p;
  }

  /**
   * One more address and port it answers on.
   * @param kind FrontendKind
   * @param local externalTrafficPolicy Local
   */
  addFrontend(
    p: number,
    kind: number,
    addr: number,
    port: number,
    local: boolean,
    ranges: SourceRanges | null = null,
  ): number {
    const { frontends, revisions } = this;
    const proto = this.proto[p];
    assert(frontends.find(addr, proto, port, this.revision) < 0, "frontend twice");
    const change = proto === PROTO_UDP ? Change.UDP_PORT : Change.OTHER;
    const revision = revisions.bump(change, p);
    const next = this.frontend0[p];
    this.frontend0[p] = frontends.add(kind, addr, proto, port, p, local, ranges, revision, next);
    if (local) keepLocalLists(this, p, revision);
    this.listener?.serviceChanged(this, change, p, 0);
    return this.frontend0[p];
  }

  removeFrontend(x: number): void {
    const p = this.frontends.servicePort[x];
    this.frontends.removed[x] = this.revisions.bump(Change.GONE, p);
    this.revisions.keep(Kept.FRONTEND, x);
    this.giveUp();
    this.listener?.serviceChanged(this, Change.GONE, p, 0);
  }

  /** Takes its endpoints and frontends along. */
  removeServicePort(p: number): void {
    const revision = this.revisions.bump(Change.GONE, p);
    for (let x = this.frontend0[p]; x >= 0; x = this.frontends.next[x]) {
      if (!this.frontends.isAt(x, revision)) continue;
      this.frontends.removed[x] = revision;
      this.revisions.keep(Kept.FRONTEND, x);
    }
    for (let e = this.first[p]; e >= 0; e = this.epNext[e]) {
      this.epRemoved[e] = revision;
      this.revisions.keep(Kept.ENDPOINT, e);
    }
    this.first[p] = -1;
    this.endpoints[p] = 0;
    this.removed[p] = revision;
    this.revisions.keep(Kept.PORT, p);
    this.giveUp();
    this.listener?.serviceChanged(this, Change.GONE, p, 0);
  }

  /** @param node namespace of the node it runs on, -1 for none of ours. */
  addEndpoint(
    p: number,
    ip: number,
    target: number,
    node: number,
    conditions = 3,
    zoneHint = -1,
    nodeHint = -1,
  ): number {
    const e = this.eps.take();
    if (e >= this.epPort.length) this.growEndpoints();
    const change = this.endpointChange(p);
    const revision = this.revisions.bump(change, p, ip);
    this.epPort[e] = p;
    this.epIp[e] = ip;
    this.epTarget[e] = target;
    this.epNode[e] = node;
    this.epConditions[e] = conditions;
    this.epZoneHint[e] = zoneHint;
    this.epNodeHint[e] = nodeHint;
    this.epSeq[e] = ++this.lastSeq[p];
    this.epRemoved[e] = NOT_REMOVED;
    this.epSince[e] = revision;
    this.epOld[e] = -1;
    this.epNext[e] = -1;
    this.epPrev[e] = this.last[p];
    if (this.first[p] < 0) this.first[p] = e;
    else this.epNext[this.last[p]] = e;
    this.last[p] = e;
    this.endpoints[p]++;
    this.epIndex.insert(hash2(p, ip), e);
    this.relist(e, 0, conditions, revision);
    this.listener?.serviceChanged(this, change, p, ip);
    return e;
  }

  removeEndpoint(e: number): void {
    const p = this.epPort[e];
    const change = this.endpointChange(p);
    const revision = this.revisions.bump(change, p, this.epIp[e]);
    this.unlink(e);
    this.relist(e, this.epConditions[e], 0, revision);
    this.endpoints[p]--;
    this.epRemoved[e] = revision;
    this.revisions.keep(Kept.ENDPOINT, e);
    this.giveUp();
    this.listener?.serviceChanged(this, change, p, this.epIp[e]);
  }

  setEndpointConditions(e: number, conditions: number): void {
    const before = this.epConditions[e];
    if (before === conditions) return;
    const p = this.epPort[e];
    const change = this.endpointChange(p);
    const revision = this.revisions.bump(change, p, this.epIp[e]);
    if (this.revisions.followers > 0) this.keepConditions(e);
    this.epSince[e] = revision;
    this.epConditions[e] = conditions;
    this.relist(e, before, conditions, revision);
    this.listener?.serviceChanged(this, change, p, this.epIp[e]);
  }

  /** The zone of a node, for hints. */
  setZone(ns: number, zone: number): void {
    if (ns >= this.zones.length) {
      const used = this.zones.length;
      this.zones = growI32(this.zones, Math.max(ns + 1, used * 2));
      this.zones.fill(-1, used);
    }
    this.zones[ns] = zone;
  }

  // ---- questions, as of a revision ----

  /** The service port, or -1. */
  find(vip: number, proto: number, port: number, revision: number): number {
    const h = hash4(vip, proto, port, 0);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      const p = r - 1;
      if (hashes[s] !== h || this.vip[p] !== vip || this.port[p] !== port || this.proto[p] !== proto)
        continue;
      if (this.added[p] <= revision && revision < this.removed[p]) return p;
    }
    return -1;
  }

  /** Is this the ClusterIP of any Service (set cluster-ips of the nftables mode)? */
  isClusterIp(vip: number, revision: number): boolean {
    for (let p = this.vips.first(vip); p >= 0; p = this.vips.next[p]) {
      if (this.added[p] <= revision && revision < this.removed[p]) return true;
    }
    return false;
  }

  /** Leaves in lists.rows and lists.count what a new connection from this node to the ClusterIP may use. */
  usable(p: number, node: number, revision: number): void {
    this.choose(p, node, revision, this.local[p] === 1);
  }

  /** The same of the Cluster list, as hints let this node see it, or of its own endpoints. */
  choose(p: number, node: number, revision: number, own: boolean): void {
    let l = this.clusterList[p];
    if (own) l = this.lists.find(p, node);
    else if (this.hinted[p]) l = hintedList(this, p, node, revision);
    this.lists.view(l, revision, this.epSeq);
  }

  /** Any endpoint in the cluster that is ready, or serving while it terminates (hasAnyEndpoints). */
  hasAnyEndpoints(p: number, revision: number): boolean {
    this.lists.view(this.clusterList[p], revision, this.epSeq);
    return this.lists.count > 0;
  }

  /**
   * Position in the usable list of the endpoint after this node's cursor; moves the cursor. The list is not
   * empty.
   */
  nextInTurn(p: number, node: number, own: boolean): number {
    const { rows, count } = this.lists;
    const c = this.cursors.ensure(node, cursorOf(p, own));
    const at = firstAfter(rows, count, this.epSeq, this.cursors.last[c]);
    const i = at === count ? 0 : at;
    this.cursors.last[c] = this.epSeq[rows[i]];
    return i;
  }

  /** Is `ip` the address of a serving endpoint, whatever its port, node or policy (K 2.8)? */
  isServing(p: number, ip: number, revision: number): boolean {
    const h = hash2(p, ip);
    const { slots, hashes, mask } = this.epIndex;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      const e = r - 1;
      if (hashes[s] !== h || this.epPort[e] !== p || this.epIp[e] !== ip) continue;
      if (revision >= this.epRemoved[e]) continue;
      if (this.conditionsAt(e, revision) & EndpointCondition.SERVING) return true;
    }
    return false;
  }

  // ---- nodes that lag ----

  /** A node that will sync later starts at the present revision. */
  follow(): number {
    return this.revisions.follow();
  }

  advance(from: number, to: number): void {
    this.revisions.advance(from, to);
    this.giveUp();
  }

  unfollow(from: number): void {
    this.revisions.unfollow(from);
    this.giveUp();
  }

  // ---- internals ----

  private endpointChange(p: number): number {
    return this.proto[p] === PROTO_UDP ? Change.UDP_ENDPOINTS : Change.OTHER;
  }

  /** 0 before the endpoint was added. */
  conditionsAt(e: number, revision: number): number {
    if (revision >= this.epSince[e]) return this.epConditions[e];
    return this.olds.at(this.epOld[e], revision);
  }

  /** Moves an endpoint between the lists of its service port as its conditions change (0: not there). */
  private relist(e: number, before: number, after: number, revision: number): void {
    const p = this.epPort[e];
    relistIn(this, this.clusterList[p], e, before, after, revision);
    if (this.hinted[p]) relistHints(this, e, before, after, revision);
    if (this.localLists[p]) this.relistLocal(e, before, after, revision);
  }

  relistLocal(e: number, before: number, after: number, revision: number): void {
    const node = this.epNode[e];
    if (node >= 0)
      relistIn(this, this.ensureList(this.epPort[e], node, revision), e, before, after, revision);
  }

  /** The list of a service port under this key (see EndpointLists.node), made when missing. */
  ensureList(p: number, key: number, revision: number): number {
    const found = this.lists.find(p, key);
    if (found >= 0) return found;
    this.lists0[p] = this.lists.add(p, key, this.lists0[p], revision);
    return this.lists0[p];
  }

  keepMemberships(l: number, count: number): void {
    for (let i = 0; i < count; i++) this.revisions.keep(Kept.MEMBERSHIP, l);
  }

  private keepConditions(e: number): void {
    this.epOld[e] = this.olds.add(this.epConditions[e], this.epSince[e], this.epOld[e]);
    this.revisions.keep(Kept.CONDITIONS, e);
  }

  /** Frees rows that no node can see any more. */
  private giveUp(): void {
    const { revisions } = this;
    while (revisions.takeKept()) {
      const { kind, row } = revisions;
      if (kind === Kept.MEMBERSHIP) this.lists.forgetOldest(row);
      else if (kind === Kept.CONDITIONS) this.epOld[row] = this.olds.forgetOldest(this.epOld[row]);
      else if (kind === Kept.ENDPOINT) this.freeEndpoint(row);
      else if (kind === Kept.FRONTEND) this.freeFrontend(row);
      else this.freePort(row);
    }
  }

  private freeEndpoint(e: number): void {
    this.epIndex.remove(hash2(this.epPort[e], this.epIp[e]), e);
    this.eps.give(e);
  }

  private freeFrontend(x: number): void {
    const { next } = this.frontends;
    const p = this.frontends.servicePort[x];
    let at = this.frontend0[p];
    if (at === x) this.frontend0[p] = next[x];
    else {
      while (next[at] !== x) at = next[at];
      next[at] = next[x];
    }
    this.frontends.free(x);
  }

  private freePort(p: number): void {
    this.index.remove(hash4(this.vip[p], this.proto[p], this.port[p], 0), p);
    this.vips.remove(p, this.vip[p]);
    this.lists.removeAll(this.lists0[p]);
    this.cursors.removePort(cursorOf(p, false));
    this.cursors.removePort(cursorOf(p, true));
    this.name[p] = "";
    this.ports.give(p);
  }

  private unlink(e: number): void {
    const p = this.epPort[e];
    const next = this.epNext[e];
    const prev = this.epPrev[e];
    if (next >= 0) this.epPrev[next] = prev;
    else this.last[p] = prev;
    if (prev >= 0) this.epNext[prev] = next;
    else this.first[p] = next;
  }

  private growPorts(): void {
    const n = this.vip.length * 2;
    this.vip = growI32(this.vip, n);
    this.proto = growU8(this.proto, n);
    this.port = growU16(this.port, n);
    this.local = growU8(this.local, n);
    this.localLists = growU8(this.localLists, n);
    this.affinity = growF64(this.affinity, n);
    this.affinityBorn = growI32(this.affinityBorn, n);
    this.hinted = growU8(this.hinted, n);
    this.frontend0 = growI32(this.frontend0, n);
    this.added = growI32(this.added, n);
    this.removed = growI32(this.removed, n);
    this.clusterList = growI32(this.clusterList, n);
    this.endpoints = growI32(this.endpoints, n);
    this.lists0 = growI32(this.lists0, n);
    this.first = growI32(this.first, n);
    this.last = growI32(this.last, n);
    this.lastSeq = growI32(this.lastSeq, n);
  }

  private growEndpoints(): void {
    const n = this.epPort.length * 2;
    this.epPort = growI32(this.epPort, n);
    this.epIp = growI32(this.epIp, n);
    this.epTarget = growU16(this.epTarget, n);
    this.epNode = growI32(this.epNode, n);
    this.epConditions = growU8(this.epConditions, n);
    this.epZoneHint = growI32(this.epZoneHint, n);
    this.epNodeHint = growI32(this.epNodeHint, n);
    this.epSeq = growI32(this.epSeq, n);
    this.epRemoved = growI32(this.epRemoved, n);
    this.epNext = growI32(this.epNext, n);
    this.epPrev = growI32(this.epPrev, n);
    this.epSince = growI32(this.epSince, n);
    this.epOld = growI32(this.epOld, n);
  }
}

/** A node takes turns of its own in each of the two lists of a service port, as each has a chain. */
export function cursorOf(p: number, own: boolean): number {
  return p * 2 + (own ? 1 : 0);
}
