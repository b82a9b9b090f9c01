// NetworkPolicies of a cluster (networking.k8s.io/v1; K 8), compiled for netfilter/network-policy.ts.
// Policies only add allowances: a pod that none selects in a direction is open in it, one that any selects is
// closed but for the union of their rules. Pods alike in namespace, labels and port names are one identity,
// so a pod that comes or goes costs one row; a policy or a label costs the identities it may concern.

import type { PolicyRule, PolicyTable } from "../netfilter/network-policy.ts";
import { type LabelSelector, type Labels, selectorMatches } from "./labels.ts";

/** In every namespace's labels (K 8). */
export const NAME_LABEL = "kubernetes.io/metadata.name";

export interface Peer {
  podSelector?: LabelSelector;
  namespaceSelector?: LabelSelector;
  /** Networks and masks; then those of its exceptions. */
  block?: { range: Int32Array; except: Int32Array };
}

export interface Port {
  /** IP protocol number. */
  protocol: number;
  /** Number, name, or null for every port of the protocol. */
  port: number | string | null;
  /** Last of a range that begins with `port`. */
  endPort: number | null;
}

export interface Rule {
  /** Empty: every peer. */
  peers: readonly Peer[];
  /** Empty: every port and protocol. */
  ports: readonly Port[];
}

export interface NetworkPolicy {
  namespace: string;
  name: string;
  podSelector: LabelSelector;
  /** Null: the policy says nothing about that direction. */
  ingress: readonly Rule[] | null;
  egress: readonly Rule[] | null;
}

interface Identity {
  namespace: string;
  labels: Labels;
}

interface Compiled {
  policy: NetworkPolicy;
  ingress: PolicyRule[] | null;
  egress: PolicyRule[] | null;
}

const MAX_PORT = 65_535;

export class NetworkPolicies {
  readonly table: PolicyTable;
  readonly namespaces = new Map<string, Labels>();
  private readonly compiled: Compiled[] = [];
  private readonly identities: Identity[] = [];
  private readonly byKey = new Map<string, number>();
  /** Numbers of port names. */
  private readonly names = new Map<string, number>();

  constructor(table: PolicyTable) {
    this.table = table;
  }

  get count(): number {
    return this.compiled.length;
  }

  /** The identity of pods like these, made when it is new. @param ports container ports by name */
  identityOf(namespace: string, labels: Labels, ports: readonly NamedPort[]): number {
    const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
    const key = JSON.stringify([namespace, sorted, ports]);
    const known = this.byKey.get(key);
    if (known !== undefined) return known;
    const identity = this.identities.push({ namespace, labels }) - 1;
    this.byKey.set(key, identity);
    this.table.named[identity] = Int32Array.from(
      ports.flatMap((p) => [this.nameNumber(p.name), p.protocol, p.port]),
    );
    for (const one of this.compiled) this.joinPeers(one, identity);
    this.collect(identity);
    return identity;
  }

  /** A policy of this name and namespace is replaced. */
  apply(policy: NetworkPolicy): void {
    const rules = (list: readonly Rule[] | null): PolicyRule[] | null =>
      list === null ? null : list.map((r) => this.compile(r));
    const one = { policy, ingress: rules(policy.ingress), egress: rules(policy.egress) };
    const at = this.indexOf(policy.namespace, policy.name);
    if (at >= 0) this.compiled[at] = one;
    else this.compiled.push(one);
    for (let i = 0; i < this.identities.length; i++) this.joinPeers(one, i);
    this.collectNamespace(policy.namespace);
  }

  /** False when there is none. */
  remove(namespace: string, name: string): boolean {
    const at = this.indexOf(namespace, name);
    if (at < 0) return false;
    this.compiled.splice(at, 1);
    this.collectNamespace(namespace);
    return true;
  }

  /** Labels of a namespace, beside its name. */
  setNamespace(namespace: string, labels: Labels): void {
    this.namespaces.set(namespace, labels);
    this.identities.forEach((one, i) => {
      if (one.namespace === namespace) for (const c of this.compiled) this.joinPeers(c, i);
    });
  }

  private indexOf(namespace: string, name: string): number {
    return this.compiled.findIndex(({ policy }) => policy.name === name && policy.namespace === namespace);
  }

  private collectNamespace(namespace: string): void {
    this.identities.forEach((one, i) => {
      if (one.namespace === namespace) this.collect(i);
    });
  }

  // The rules of all policies that select an identity.
  private collect(identity: number): void {
    const { namespace, labels } = this.identities[identity];
    let ingress: PolicyRule[] | null = null;
    let egress: PolicyRule[] | null = null;
    for (const one of this.compiled) {
      if (one.policy.namespace !== namespace || !selectorMatches(one.policy.podSelector, labels)) continue;
      if (one.ingress !== null) ingress = [...(ingress ?? []), ...one.ingress];
      if (one.egress !== null) egress = [...(egress ?? []), ...one.egress];
    }
    this.table.ingress[identity] = ingress;
    this.table.egress[identity] = egress;
  }

  // Whether an identity is a peer in each rule of a policy.
  private joinPeers(one: Compiled, identity: number): void {
    const { policy } = one;
    policy.ingress?.forEach((rule, i) => {
      this.join(rule, (one.ingress as PolicyRule[])[i], policy.namespace, identity);
    });
    policy.egress?.forEach((rule, i) => {
      this.join(rule, (one.egress as PolicyRule[])[i], policy.namespace, identity);
    });
  }

  private join(rule: Rule, compiled: PolicyRule, namespace: string, identity: number): void {
    if (identity >= compiled.members.length) {
      const wider = new Uint8Array(Math.max(identity + 1, compiled.members.length * 2));
      wider.set(compiled.members);
      compiled.members = wider;
    }
    compiled.members[identity] = rule.peers.some((p) => this.isPeer(p, namespace, identity)) ? 1 : 0;
  }

  private isPeer(peer: Peer, own: string, identity: number): boolean {
    const { podSelector, namespaceSelector } = peer;
    if (podSelector === undefined && namespaceSelector === undefined) return false;
    const { namespace, labels } = this.identities[identity];
    const inNamespace =
      namespaceSelector === undefined
        ? namespace === own
        : selectorMatches(namespaceSelector, this.namespaceLabels(namespace));
    return inNamespace && (podSelector === undefined || selectorMatches(podSelector, labels));
  }

  /** With the name, which every namespace has as a label. */
  namespaceLabels(namespace: string): Labels {
    return { ...this.namespaces.get(namespace), [NAME_LABEL]: namespace };
  }

  private compile(rule: Rule): PolicyRule {
    const ports = rule.ports.flatMap(({ protocol, port, endPort }) => {
      if (port === null) return [protocol, 0, MAX_PORT];
      if (typeof port === "string") return [protocol, -1 - this.nameNumber(port), 0];
      return [protocol, port, endPort ?? port];
    });
    return {
      anyPeer: rule.peers.length === 0,
      members: new Uint8Array(this.identities.length),
      blocks: rule.peers.flatMap((p) => p.block ?? []),
      ports: rule.ports.length === 0 ? null : Int32Array.from(ports),
    };
  }

  private nameNumber(name: string): number {
    const known = this.names.get(name);
    if (known !== undefined) return known;
    this.names.set(name, this.names.size);
    return this.names.size - 1;
  }
}

export interface NamedPort {
  name: string;
  /** IP protocol number. */
  protocol: number;
  port: number;
}
