// Sysctls by their kernel names, with the defaults of Linux 6.18 (kube-proxy.md 3.4, 4.1-4.3, 5.3).
// Namespaces and devices hold a row base into one table each; those with equal settings share a row, and
// setting one copies the row first.
// Times are in the sysctl's own unit; readers convert to nanoseconds.

import { growI32 } from "../core/columns.ts";

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

/** Rows of equal settings; row 0 holds the defaults and is shared by whoever never changed anything. */
export class SysctlTable {
  values: Int32Array;
  private readonly width: number;
  private used: number;

  constructor(defaults: readonly number[]) {
    this.width = defaults.length;
    this.values = new Int32Array(this.width * 64);
    this.values.set(defaults);
    this.used = this.width;
  }

  /**
   * Writes one value and returns the row base to use from now on (a private copy when `base` was the shared
   * row).
   */
  set(base: number, column: number, value: number): number {
    if (this.values[base + column] === value) return base;
    let row = base;
    if (base === 0) {
      if (this.used + this.width > this.values.length)
        this.values = growI32(this.values, this.values.length * 2);
      row = this.used;
      this.used += this.width;
      this.values.copyWithin(row, base, base + this.width);
    }
    this.values[row + column] = value;
    return row;
  }
}

export const nsSysctlTable = (): SysctlTable => new SysctlTable(Object.values(NS_DEFAULTS));
export const devSysctlTable = (): SysctlTable => new SysctlTable(Object.values(DEV_DEFAULTS));
