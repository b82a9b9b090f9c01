// User rules in nat POSTROUTING of the form of IP-MASQ-AGENT (azure.md C40-C42): one jump for destinations
// that are not addresses of the node, RETURN for each non-masquerade CIDR, MASQUERADE for the rest. Several
// agents may add a chain each; they stand after kube-proxy's in the order added.

import { prefixMask } from "../core/prefix-table.ts";

export interface MasqueradeRule {
  readonly nonMasqueradeCidrs: readonly { readonly network: number; readonly prefix: number }[];
  /** MASQUERADE --random-fully. Default true, as the agent does where the binary supports it. */
  readonly randomFully?: boolean;
}

export class MasqueradeRules {
  /** First rule of each namespace in order; -1 or beyond the end: none. */
  private first: number[] = [];
  private next: number[] = [];
  private networks: Int32Array[] = [];
  private masks: Int32Array[] = [];
  private random: boolean[] = [];

  add(ns: number, rule: MasqueradeRule): void {
    const r = this.next.push(-1) - 1;
    const cidrs = rule.nonMasqueradeCidrs;
    const masks = new Int32Array(cidrs.length);
    const networks = new Int32Array(cidrs.length);
    for (let i = 0; i < cidrs.length; i++) {
      masks[i] = prefixMask(cidrs[i].prefix);
      networks[i] = cidrs[i].network & masks[i];
    }
    this.masks.push(masks);
    this.networks.push(networks);
    this.random.push(rule.randomFully ?? true);
    let at = this.first[ns] ?? -1;
    if (at < 0) {
      this.first[ns] = r;
      return;
    }
    while (this.next[at] >= 0) at = this.next[at];
    this.next[at] = r;
  }

  remove(ns: number): void {
    if (ns < this.first.length) this.first[ns] = -1;
  }

  /** The rule that masquerades a packet to `dst`, or -1; that `dst` is not local is for the caller to ask. */
  match(ns: number, dst: number): number {
    let r = ns < this.first.length ? (this.first[ns] ?? -1) : -1;
    while (r >= 0 && this.returns(r, dst)) r = this.next[r];
    return r;
  }

  isRandom(rule: number): boolean {
    return this.random[rule];
  }

  private returns(r: number, dst: number): boolean {
    const networks = this.networks[r];
    const masks = this.masks[r];
    for (let i = 0; i < networks.length; i++) if ((dst & masks[i]) === networks[i]) return true;
    return false;
  }
}
