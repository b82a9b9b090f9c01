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
// Absent: NodePort, load balancer and external addresses, session affinity, topology hints.

import { assert } from "../core/assert.ts";
import { growI32, growU8, growU16, Ids } from "../core/columns.ts";
import { HashIndex, hash2, hash4 } from "../core/hash-index.ts";
import { PROTO_UDP } from "../wire/ipv4.ts";
import { Cursors } from "./cursors.ts";
import {
  CLUSTER,
  EndpointCondition,
  EndpointLists,
  firstAfter,
  usableReady,
  usableTerminating,
} from "./endpoint-lists.ts";
import { Change, Kept, Revisions } from "./revisions.ts";

/** Revision at which a row that still exists was removed. */
const NOT_REMOVED = 0x7fffffff;

/** Told after each change, so that nodes that follow without delay act at once. */
export interface ServiceListener {
  /** @param address of the endpoint that changed, for Change.UDP_ENDPOINTS */
  serviceChanged(table: ServiceTable, change: number, port: number, address: number): void;
}

export class ServiceTable {
  readonly revisions = new Revisions();
  readonly lists = new EndpointLists();
  readonly cursors = new Cursors();
  listener: ServiceListener | null = null;

  // Service ports.
  name: string[] = [];
  vip = new Int32Array(64);
  proto = new Uint8Array(64);
  port = new Uint16Array(64);
  /** 1: internalTrafficPolicy Local. */
  local = new Uint8Array(64);
  added = new Int32Array(64);
  removed = new Int32Array(64);
  clusterList = new Int32Array(64);
  endpoints = new Int32Array(64);
  private lists0 = new Int32Array(64);
  private first = new Int32Array(64);
  private last = new Int32Array(64);
  private lastSeq = new Int32Array(64);
  /** Next service port of the same ClusterIP; -1 ends. */
  private vipNext = new Int32Array(64);
  readonly ports = new Ids();
  private readonly index = new HashIndex(64);
  private readonly vips = new HashIndex(64);

  // Endpoints.
  epPort = new Int32Array(64);
  epIp = new Int32Array(64);
  epTarget = new Uint16Array(64);
  /** Namespace of the node the endpoint runs on; -1 when it runs on none of ours. */
  epNode = new Int32Array(64);
  epConditions = new Uint8Array(64);
  epSeq = new Int32Array(64);
  private epRemoved = new Int32Array(64);
  private epNext = new Int32Array(64);
  private epPrev = new Int32Array(64);
  readonly eps = new Ids();
  private readonly epIndex = new HashIndex(64);
  // Conditions an endpoint had before, newest first: valid until the revision of the next newer one.
  private epSince = new Int32Array(64);
  private epOld = new Int32Array(64);
  private oldConditions = new Uint8Array(16);
  private oldSince = new Int32Array(16);
  private oldOlder = new Int32Array(16);
  private readonly olds = new Ids();

  /** Counts changes; each of the methods below makes one. */
  get revision(): number {
    return this.revisions.current;
  }

  // ---- changes ----

  /** @param local internalTrafficPolicy Local. */
  addServicePort(name: string, vip: number, proto: number, port: number, local = false): number {
    assert(this.find(vip, proto, port, this.revision) < 0, "service port twice");
    const p = this.ports.take();
    if (p >= this.vip.length) this.growPorts();
    this.name[p] = name;
    this.vip[p] = vip;
    this.proto[p] = proto;
    this.port[p] = port;
    this.local[p] = local ? 1 : 0;
    const change = proto === PROTO_UDP ? Change.UDP_PORT : Change.OTHER;
    const revision = this.revisions.bump(change, p);
    this.added[p] = revision;
    this.removed[p] = NOT_REMOVED;
    this.clusterList[p] = this.lists.add(p, CLUSTER, -1, revision);
    this.lists0[p] = this.clusterList[p];
    this.endpoints[p] = 0;
    this.first[p] = -1;
    this.last[p] = -1;
    this.lastSeq[p] = 0;
    this.index.insert(hash4(vip, proto, port, 0), p);
    this.linkVip(p);
    this.listener?.serviceChanged(this, change, p, 0);
    return p;
  }

  /** Takes its endpoints along. */
  removeServicePort(p: number): void {
    const revision = this.revisions.bump(Change.OTHER, p);
    for (let e = this.first[p]; e >= 0; e = this.epNext[e]) {
      this.epRemoved[e] = revision;
      this.revisions.keep(Kept.ENDPOINT, e);
    }
    this.first[p] = -1;
    this.endpoints[p] = 0;
    this.removed[p] = revision;
    this.revisions.keep(Kept.PORT, p);
    this.giveUp();
    this.listener?.serviceChanged(this, Change.OTHER, p, 0);
  }

  /** @param node namespace of the node it runs on, -1 for none of ours. */
  addEndpoint(p: number, ip: number, target: number, node: number, conditions = 3): number {
    const e = this.eps.take();
    if (e >= this.epPort.length) this.growEndpoints();
    const change = this.endpointChange(p);
    const revision = this.revisions.bump(change, p, ip);
    this.epPort[e] = p;
    this.epIp[e] = ip;
    this.epTarget[e] = target;
    this.epNode[e] = node;
    this.epConditions[e] = conditions;
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
    for (let p = this.vipHead(vip); p >= 0; p = this.vipNext[p]) {
      if (this.added[p] <= revision && revision < this.removed[p]) return true;
    }
    return false;
  }

  /** Leaves in lists.rows and lists.count what a new connection from this node may use. */
  usable(p: number, node: number, revision: number): void {
    const l = this.local[p] ? this.lists.find(p, node) : this.clusterList[p];
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
  nextInTurn(p: number, node: number): number {
    const { rows, count } = this.lists;
    const c = this.cursors.ensure(node, p);
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
  private conditionsAt(e: number, revision: number): number {
    if (revision >= this.epSince[e]) return this.epConditions[e];
    let o = this.epOld[e];
    while (o >= 0 && revision < this.oldSince[o]) o = this.oldOlder[o];
    return o < 0 ? 0 : this.oldConditions[o];
  }

  /** Moves an endpoint between the lists of its service port as its conditions change (0: not there). */
  private relist(e: number, before: number, after: number, revision: number): void {
    const p = this.epPort[e];
    this.relistIn(this.clusterList[p], e, before, after, revision);
    if (this.local[p] === 0 || this.epNode[e] < 0) return;
    let l = this.lists.find(p, this.epNode[e]);
    if (l < 0) {
      l = this.lists.add(p, this.epNode[e], this.lists0[p], revision);
      this.lists0[p] = l;
    }
    this.relistIn(l, e, before, after, revision);
  }

  private relistIn(l: number, e: number, before: number, after: number, revision: number): void {
    const { lists } = this;
    const keep = this.revisions.followers > 0;
    const was = lists.fallback[l] ? usableTerminating(before) : usableReady(before);
    const fallsBack = lists.fallback[l] === 1 || lists.length[l] === 0;
    // In a list that fell back, or is empty, a ready endpoint takes over from all the terminating ones.
    if (fallsBack && usableReady(after)) {
      this.keepMemberships(l, lists.clear(l, revision, keep));
      if (!keep) lists.lost[l] = revision;
      lists.fallback[l] = 0;
      lists.insert(l, e, this.epSeq, revision);
      return;
    }
    const is = fallsBack ? usableTerminating(after) : usableReady(after);
    if (was === is) return;
    if (!keep) lists.lost[l] = revision;
    if (fallsBack) lists.fallback[l] = 1;
    if (is) lists.insert(l, e, this.epSeq, revision);
    else this.keepMemberships(l, lists.remove(l, e, this.epSeq, revision, keep));
    if (lists.length[l] === 0) this.fallBack(l, revision);
  }

  /** The last ready endpoint has gone: those that terminate but still serve must do. */
  private fallBack(l: number, revision: number): void {
    const { lists } = this;
    const node = lists.node[l];
    lists.fallback[l] = 1;
    for (let e = this.first[lists.port[l]]; e >= 0; e = this.epNext[e]) {
      if (node !== CLUSTER && this.epNode[e] !== node) continue;
      if (usableTerminating(this.epConditions[e])) lists.insert(l, e, this.epSeq, revision);
    }
  }

  private keepMemberships(l: number, count: number): void {
    for (let i = 0; i < count; i++) this.revisions.keep(Kept.MEMBERSHIP, l);
  }

  private keepConditions(e: number): void {
    const o = this.olds.take();
    if (o >= this.oldSince.length) {
      this.oldConditions = growU8(this.oldConditions, o * 2);
      this.oldSince = growI32(this.oldSince, o * 2);
      this.oldOlder = growI32(this.oldOlder, o * 2);
    }
    this.oldConditions[o] = this.epConditions[e];
    this.oldSince[o] = this.epSince[e];
    this.oldOlder[o] = this.epOld[e];
    this.epOld[e] = o;
    this.revisions.keep(Kept.CONDITIONS, e);
  }

  /** Frees rows that no node can see any more. */
  private giveUp(): void {
    const { revisions } = this;
    while (revisions.takeKept()) {
      const { kind, row } = revisions;
      if (kind === Kept.MEMBERSHIP) this.lists.forgetOldest(row);
      else if (kind === Kept.CONDITIONS) this.forgetConditions(row);
      else if (kind === Kept.ENDPOINT) this.freeEndpoint(row);
      else this.freePort(row);
    }
  }

  private forgetConditions(e: number): void {
    let o = this.epOld[e];
    let newer = -1;
    while (this.oldOlder[o] >= 0) {
      newer = o;
      o = this.oldOlder[o];
    }
    if (newer < 0) this.epOld[e] = -1;
    else this.oldOlder[newer] = -1;
    this.olds.give(o);
  }

  private freeEndpoint(e: number): void {
    this.epIndex.remove(hash2(this.epPort[e], this.epIp[e]), e);
    this.eps.give(e);
  }

  private freePort(p: number): void {
    this.index.remove(hash4(this.vip[p], this.proto[p], this.port[p], 0), p);
    this.unlinkVip(p);
    this.lists.removeAll(this.lists0[p]);
    this.cursors.removePort(p);
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

  private vipHead(vip: number): number {
    const h = hash2(vip, 0);
    const { slots, hashes, mask } = this.vips;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.vip[r - 1] === vip) return r - 1;
    }
    return -1;
  }

  private linkVip(p: number): void {
    const h = hash2(this.vip[p], 0);
    const head = this.vipHead(this.vip[p]);
    this.vipNext[p] = head;
    if (head >= 0) this.vips.remove(h, head);
    this.vips.insert(h, p);
  }

  private unlinkVip(p: number): void {
    const h = hash2(this.vip[p], 0);
    let at = this.vipHead(this.vip[p]);
    if (at !== p) {
      while (this.vipNext[at] !== p) at = this.vipNext[at];
      this.vipNext[at] = this.vipNext[p];
      return;
    }
    this.vips.remove(h, p);
    if (this.vipNext[p] >= 0) this.vips.insert(h, this.vipNext[p]);
  }

  private growPorts(): void {
    const n = this.vip.length * 2;
    this.vip = growI32(this.vip, n);
    this.proto = growU8(this.proto, n);
    this.port = growU16(this.port, n);
    this.local = growU8(this.local, n);
    this.added = growI32(this.added, n);
    this.removed = growI32(this.removed, n);
    this.clusterList = growI32(this.clusterList, n);
    this.endpoints = growI32(this.endpoints, n);
    this.lists0 = growI32(this.lists0, n);
    this.first = growI32(this.first, n);
    this.last = growI32(this.last, n);
    this.lastSeq = growI32(this.lastSeq, n);
    this.vipNext = growI32(this.vipNext, n);
  }

  private growEndpoints(): void {
    const n = this.epPort.length * 2;
    this.epPort = growI32(this.epPort, n);
    this.epIp = growI32(this.epIp, n);
    this.epTarget = growU16(this.epTarget, n);
    this.epNode = growI32(this.epNode, n);
    this.epConditions = growU8(this.epConditions, n);
    this.epSeq = growI32(this.epSeq, n);
    this.epRemoved = growI32(this.epRemoved, n);
    this.epNext = growI32(this.epNext, n);
    this.epPrev = growI32(this.epPrev, n);
    this.epSince = growI32(this.epSince, n);
    this.epOld = growI32(this.epOld, n);
  }
}
