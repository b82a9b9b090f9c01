// Sysctls by their kernel names, with the defaults of Linux 6.18 (kube-proxy.md 3.4, 4.1-4.3, 5.3).
// Namespaces and devices hold a row base into one table each; those with equal settings share a row.
// Times are in the sysctl's own unit; readers convert to nanoseconds.

import { growI32 } from "../core/columns.ts";
import { HashIndex, hash2 } from "../core/hash-index.ts";

const NS_DEFAULTS = {
  "net.ipv4.ip_forward": 0,
  "net.ipv4.ip_default_ttl": 64,
  "net.ipv4.icmp_ratelimit": 1000,
  "net.ipv4.icmp_ratemask": 6168,
  "net.ipv4.icmp_msgs_per_sec": 1000,
  "net.ipv4.icmp_msgs_burst": 50,
  "net.ipv4.icmp_echo_ignore_all": 0,
  "net.ipv4.icmp_echo_ignore_broadcasts": 1,
  "net.ipv4.icmp_errors_use_inbound_ifaddr": 0,
  "net.ipv4.ipfrag_time": 30,
  "net.ipv4.ipfrag_high_thresh": 4194304,
  "net.ipv4.ip_no_pmtu_disc": 0,
  "net.ipv4.ip_forward_use_pmtu": 0,
  "net.ipv4.route.min_pmtu": 552,
  "net.ipv4.route.mtu_expires": 600,
  "net.ipv4.route.gc_timeout": 300,
  "net.bridge.bridge-nf-call-iptables": 1,
  "net.ipv4.conf.all.rp_filter": 0,
  "net.ipv4.conf.all.arp_ignore": 0,
  "net.ipv4.conf.all.arp_announce": 0,
  "net.ipv4.conf.all.arp_accept": 0,
  "net.ipv4.conf.all.arp_filter": 0,
  "net.ipv4.conf.all.proxy_arp": 0,
  "net.ipv4.conf.all.send_redirects": 1,
  "net.ipv4.conf.all.accept_redirects": 1,
  "net.ipv4.conf.all.route_localnet": 0,
  "net.ipv4.conf.all.accept_local": 0,
  "net.netfilter.nf_conntrack_max": 262144,
  "net.netfilter.nf_conntrack_checksum": 1,
  "net.netfilter.nf_conntrack_tcp_loose": 1,
  "net.netfilter.nf_conntrack_tcp_be_liberal": 0,
  "net.netfilter.nf_conntrack_tcp_max_retrans": 3,
  "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst": 0,
  "net.netfilter.nf_conntrack_tcp_timeout_syn_sent": 120,
  "net.netfilter.nf_conntrack_tcp_timeout_syn_recv": 60,
  "net.netfilter.nf_conntrack_tcp_timeout_established": 432000,
  "net.netfilter.nf_conntrack_tcp_timeout_fin_wait": 120,
  "net.netfilter.nf_conntrack_tcp_timeout_close_wait": 60,
  "net.netfilter.nf_conntrack_tcp_timeout_last_ack": 30,
  "net.netfilter.nf_conntrack_tcp_timeout_time_wait": 120,
  "net.netfilter.nf_conntrack_tcp_timeout_close": 10,
  "net.netfilter.nf_conntrack_tcp_timeout_max_retrans": 300,
  "net.netfilter.nf_conntrack_tcp_timeout_unacknowledged": 300,
  "net.netfilter.nf_conntrack_udp_timeout": 30,
  "net.netfilter.nf_conntrack_udp_timeout_stream": 120,
  "net.netfilter.nf_conntrack_icmp_timeout": 30,
  "net.netfilter.nf_conntrack_generic_timeout": 600,
  "net.netfilter.nf_conntrack_gre_timeout": 30,
  "net.netfilter.nf_conntrack_gre_timeout_stream": 180,
  "net.netfilter.nf_conntrack_sctp_timeout_closed": 10,
} as const;

const DEV_DEFAULTS = {
  forwarding: 0,
  rp_filter: 0,
  proxy_arp: 0,
  arp_ignore: 0,
  arp_announce: 0,
  arp_accept: 0,
  arp_filter: 0,
  arp_notify: 0,
  send_redirects: 1,
  accept_redirects: 1,
  shared_media: 1,
  route_localnet: 0,
  accept_local: 0,
  base_reachable_time_ms: 30000,
  retrans_time_ms: 1000,
  delay_first_probe_time: 5,
  gc_stale_time: 60,
  ucast_solicit: 3,
  mcast_solicit: 3,
  mcast_resolicit: 0,
  unres_qlen_bytes: 212992,
  /** In ms; the kernel's file is in USER_HZ ticks (100 = 1 s). */
  locktime: 1000,
  /** In ms; the kernel's file is in USER_HZ ticks (80 = 0.8 s). */
  proxy_delay: 800,
  proxy_qlen: 64,
} as const;

export type NsSysctl = keyof typeof NS_DEFAULTS;
export type DevSysctl = keyof typeof DEV_DEFAULTS;
export const NS_SYSCTLS = Object.keys(NS_DEFAULTS) as NsSysctl[];
export const DEV_SYSCTLS = Object.keys(DEV_DEFAULTS) as DevSysctl[];

/** Column number of a namespace sysctl, for `values[ns.sysctl[n] + column]`. */
export const nsSysctl = (name: NsSysctl): number => NS_SYSCTLS.indexOf(name);
/** Column number of a per-device sysctl, for `values[dev.conf[d] + column]`. */
export const devSysctl = (name: DevSysctl): number => DEV_SYSCTLS.indexOf(name);

/**
 * Rows of settings, one for all the settings there ever were: those with equal settings share a row, which is
 * never written again, so devices that come and go leave nothing behind. Row 0 holds the defaults.
 */
export class SysctlTable {
  values: Int32Array;
  private readonly width: number;
  private rows = 1;
  private readonly index = new HashIndex(16);

  constructor(defaults: readonly number[]) {
    this.width = defaults.length;
    this.values = new Int32Array(this.width * 16);
    this.values.set(defaults);
    this.index.insert(this.hash(0), 0);
  }

  /** Row base of the settings of `base` with one of them changed. */
  set(base: number, column: number, value: number): number {
    if (this.values[base + column] === value) return base;
    // The wanted row stands behind the others until it is clear that it is new.
    const wanted = this.rows * this.width;
    if (wanted === this.values.length) this.values = growI32(this.values, wanted * 2);
    this.values.copyWithin(wanted, base, base + this.width);
    this.values[wanted + column] = value;
    const h = this.hash(wanted);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.isEqual((r - 1) * this.width, wanted)) return (r - 1) * this.width;
    }
    this.index.insert(h, this.rows++);
    return wanted;
  }

  private hash(base: number): number {
    let h = 0;
    for (let i = base; i < base + this.width; i++) h = hash2(h, this.values[i]);
    return h;
  }

  private isEqual(a: number, b: number): boolean {
    for (let i = 0; i < this.width; i++) if (this.values[a + i] !== this.values[b + i]) return false;
    return true;
  }
}

export const nsSysctlTable = (): SysctlTable => new SysctlTable(Object.values(NS_DEFAULTS));
export const devSysctlTable = (): SysctlTable => new SysctlTable(Object.values(DEV_DEFAULTS));
