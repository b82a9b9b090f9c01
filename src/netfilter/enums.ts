// Numbers shared with Linux user space: enum ip_conntrack_info, enum ip_conntrack_status, enum nf_inet_hooks
// and enum tcp_conntrack (include/uapi/linux/netfilter/nf_conntrack_common.h, nf_conntrack_tcp.h,
// netfilter.h).
// Absent: bits of helpers, offload and expectations, which nothing here sets.

import { MANIP_DST, MANIP_SRC } from "../wire/manip.ts";

/** enum ip_conntrack_info. A packet without an entry has ct -1 and counts as INVALID. */
export const IP_CT_ESTABLISHED = 0;
export const IP_CT_RELATED = 1;
export const IP_CT_NEW = 2;
/**
 * Added to ESTABLISHED and RELATED for packets in the reply direction; from here on the direction is reply.
 */
export const IP_CT_IS_REPLY = 3;
export const IP_CT_ESTABLISHED_REPLY = 3;
export const IP_CT_RELATED_REPLY = 4;

export const IP_CT_DIR_ORIGINAL = 0;
export const IP_CT_DIR_REPLY = 1;

/** enum ip_conntrack_status. */
export const IPS_SEEN_REPLY = 1 << 1;
export const IPS_ASSURED = 1 << 2;
export const IPS_CONFIRMED = 1 << 3;
export const IPS_SRC_NAT = 1 << 4;
export const IPS_DST_NAT = 1 << 5;
export const IPS_NAT_MASK = IPS_SRC_NAT | IPS_DST_NAT;
export const IPS_SRC_NAT_DONE = 1 << 7;
export const IPS_DST_NAT_DONE = 1 << 8;
export const IPS_NAT_DONE_MASK = IPS_SRC_NAT_DONE | IPS_DST_NAT_DONE;
export const IPS_DYING = 1 << 9;
export const IPS_FIXED_TIMEOUT = 1 << 10;
export const IPS_NAT_CLASH = 1 << 12;
/**
 * Ours: the search for a free port gave up, which names the drop when the entry then clashes at confirmation.
 */
export const IPS_NO_PORT = 1 << 30;

/** enum nf_inet_hooks. */
export const NF_INET_PRE_ROUTING = 0;
export const NF_INET_LOCAL_IN = 1;
export const NF_INET_FORWARD = 2;
export const NF_INET_LOCAL_OUT = 3;
export const NF_INET_POST_ROUTING = 4;

/** enum nf_nat_manip_type. */
export const NF_NAT_MANIP_SRC = MANIP_SRC;
export const NF_NAT_MANIP_DST = MANIP_DST;

/** Verdicts that cross our files; anything above 0 is a drop reason. */
export const NF_ACCEPT = 0;
/** The tracker found the packet INVALID (-NF_ACCEPT in the kernel): it goes on without an entry. */
export const CT_INVALID = -1;
/** The tracker killed a closed connection and wants a fresh entry for this packet (-NF_REPEAT). */
export const CT_REPEAT = -2;
/** Drop the packet and answer with ICMP port unreachable (the REJECT target). */
export const NF_REJECT = -4;
/** IPVS has a server for the packet: it goes there (walk/ip-vs-xmit.ts). */
export const IP_VS_XMIT = -5;
/** The ICMP message is no error, or no entry was attached: look it up as a connection of its own. */
export const CT_RESOLVE = -3;

/** enum tcp_conntrack. */
export const TCP_CONNTRACK_NONE = 0;
export const TCP_CONNTRACK_SYN_SENT = 1;
export const TCP_CONNTRACK_SYN_RECV = 2;
export const TCP_CONNTRACK_ESTABLISHED = 3;
export const TCP_CONNTRACK_FIN_WAIT = 4;
export const TCP_CONNTRACK_CLOSE_WAIT = 5;
export const TCP_CONNTRACK_LAST_ACK = 6;
export const TCP_CONNTRACK_TIME_WAIT = 7;
export const TCP_CONNTRACK_CLOSE = 8;
export const TCP_CONNTRACK_SYN_SENT2 = 9;
/** Not a state: the packet is invalid in this state (sIV). */
export const TCP_CONNTRACK_MAX = 10;
/** Not a state: pass the packet and change nothing (sIG). */
export const TCP_CONNTRACK_IGNORE = 11;

/** As `conntrack -L` prints them. */
export const TCP_CONNTRACK_NAMES: readonly string[] = [
  "NONE",
  "SYN_SENT",
  "SYN_RECV",
  "ESTABLISHED",
  "FIN_WAIT",
  "CLOSE_WAIT",
  "LAST_ACK",
  "TIME_WAIT",
  "CLOSE",
  "SYN_SENT2",
];

export const SECOND = 1_000_000_000;
