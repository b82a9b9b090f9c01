// NetworkPolicies as a node enforces them (K 8): in FORWARD, for the first packet of a connection, after DNAT
// and before SNAT, for pods of this node; what conntrack knows already passes. A connection needs the egress
// of its source and the ingress of its destination. Between a pod and its own node, and from a pod to itself,
// everything passes. What policies mean for whom is compiled by cluster/network-policies.ts: pods alike in
// namespace, labels and port names share an identity.
// Absent: bridged frames with bridge-nf-call-iptables 0, which meet no FORWARD.

import { growI32, Ids } from "../core/columns.ts";
import { HashIndex, hash2 } from "../core/hash-index.ts";
import { Noted } from "../node/consulted.ts";
import { Drop } from "../node/drop.ts";
import { IPV4_DST, IPV4_PROTOCOL, IPV4_SRC, PROTO_SCTP, PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { NF_ACCEPT } from "./enums.ts";
import { inRanges } from "./frontends.ts";
import type { Netfilter } from "./netfilter.ts";

/** One entry of `ingress` or `egress`. */
export interface PolicyRule {
  /** Every peer, pod or not. */
  anyPeer: boolean;
  /** By identity: 1 when a peer's selectors find it. */
  members: Uint8Array;
  /** ipBlocks: networks and masks, and the same of what each excepts. */
  blocks: { range: Int32Array; except: Int32Array }[];
  /** Protocol, first port (-1 - name for one by name) and last port. Null: every port and protocol. */
  ports: Int32Array | null;
}

export class PolicyTable {
  // Pods by address.
  private addr = new Int32Array(64);
  private identity = new Int32Array(64);
  private home = new Int32Array(64);
  private readonly ids = new Ids();
  private readonly index = new HashIndex(64);
  // By identity; null: not isolated in that direction.
  ingress: (PolicyRule[] | null)[] = [];
  egress: (PolicyRule[] | null)[] = [];
  /** Named ports of each identity: name, protocol and number of each. */
  named: Int32Array[] = [];

  /** @param home namespace of its node */
  addPod(addr: number, identity: number, home: number): void {
    const row = this.ids.take();
    if (row >= this.addr.length) {
      const n = row * 2;
      this.addr = growI32(this.addr, n);
      this.identity = growI32(this.identity, n);
      this.home = growI32(this.home, n);
    }
    this.addr[row] = addr;
    this.identity[row] = identity;
    this.home[row] = home;
    this.index.insert(hash2(addr, 0), row);
  }

  removePod(addr: number): void {
    const row = this.find(addr);
    this.index.remove(hash2(addr, 0), row);
    this.ids.give(row);
  }

  setIdentity(addr: number, identity: number): void {
    this.identity[this.find(addr)] = identity;
  }

  /** NF_ACCEPT or a drop reason for a new connection that this node forwards. */
  verdict(ns: number, src: number, dst: number, proto: number, dport: number): number {
    if (src === dst) return NF_ACCEPT;
    const from = this.find(src);
    const to = this.find(dst);
    const source = from < 0 ? -1 : this.identity[from];
    const target = to < 0 ? -1 : this.identity[to];
    if (from >= 0 && this.home[from] === ns) {
      const rules = this.egress[source];
      if (rules !== null && !this.allows(rules, target, dst, target, proto, dport)) {
        return Drop.NETWORK_POLICY_EGRESS;
      }
    }
    if (to >= 0 && this.home[to] === ns) {
      const rules = this.ingress[target];
      if (rules !== null && !this.allows(rules, source, src, target, proto, dport)) {
        return Drop.NETWORK_POLICY_INGRESS;
      }
    }
    return NF_ACCEPT;
  }

  private allows(
    rules: readonly PolicyRule[],
    peer: number,
    peerAddr: number,
    target: number,
    proto: number,
    dport: number,
  ): boolean {
    for (let i = 0; i < rules.length; i++) {
      const rule = rules[i];
      if (isPeer(rule, peer, peerAddr) && this.isPort(rule, target, proto, dport)) return true;
    }
    return false;
  }

  private isPort(rule: PolicyRule, target: number, proto: number, dport: number): boolean {
    const { ports } = rule;
    if (ports === null) return true;
    for (let i = 0; i < ports.length; i += 3) {
      if (ports[i] !== proto) continue;
      const first = ports[i + 1];
      if (
        first >= 0 ? first <= dport && dport <= ports[i + 2] : this.isNamed(target, -1 - first, proto, dport)
      ) {
        return true;
      }
    }
    return false;
  }

  private isNamed(identity: number, name: number, proto: number, port: number): boolean {
    if (identity < 0) return false;
    const named = this.named[identity];
    for (let i = 0; i < named.length; i += 3) {
      if (named[i] === name && named[i + 1] === proto && named[i + 2] === port) return true;
    }
    return false;
  }

  private find(addr: number): number {
    const h = hash2(addr, 0);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.addr[r - 1] === addr) return r - 1;
    }
    return -1;
  }
}

function isPeer(rule: PolicyRule, peer: number, addr: number): boolean {
  if (rule.anyPeer || (peer >= 0 && rule.members[peer] === 1)) return true;
  for (let i = 0; i < rule.blocks.length; i++) {
    const { range, except } = rule.blocks[i];
    if (inRanges(range, addr) && !inRanges(except, addr)) return true;
  }
  return false;
}

/** For a NEW packet in FORWARD. ICMP has no port: only rules without ports allow it. */
export function policyVerdict(nf: Netfilter, f: number, table: PolicyTable): number {
  const { skb } = nf.k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const proto = v.getUint8(l3 + IPV4_PROTOCOL);
  const hasPorts = proto === PROTO_TCP || proto === PROTO_UDP || proto === PROTO_SCTP;
  const dport = hasPorts ? v.getUint16(l3 + ((v.getUint8(l3) & 15) << 2) + 2) : 0;
  const { consulted } = nf.k;
  if (consulted.recording > 0) {
    consulted.note(f, Noted.POLICY, 0, 0);
    consulted.note(f, Noted.POLICY, v.getInt32(l3 + IPV4_SRC), 0);
    consulted.note(f, Noted.POLICY, v.getInt32(l3 + IPV4_DST), 0);
  }
  return table.verdict(skb.ns[f], v.getInt32(l3 + IPV4_SRC), v.getInt32(l3 + IPV4_DST), proto, dport);
}
