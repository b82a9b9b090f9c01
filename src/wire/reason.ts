// Why a frame is malformed: the closed list every check in wire/ answers with. 0 is "nothing wrong". Names
// follow include/net/dropreason-core.h where the kernel has one; where it has only NOT_SPECIFIED or one name
// for several faults (SKB_DROP_REASON_IP_INHDR), ours say which fault it was. node/drop.ts continues the
// list.

export const WireDrop = {
  /** Fewer than 14 bytes: there is no whole Ethernet header. */
  ETHER_TOO_SHORT: 1,
  /** Fewer than 6 bytes follow an 802.1Q ethertype (skb_vlan_untag). */
  VLAN_TOO_SHORT: 2,
  /** Fewer than 28 bytes of ARP (arp_rcv). */
  ARP_TOO_SHORT: 3,
  /** ARP types or address lengths are not those of Ethernet and IPv4 (arp_rcv, arp_process). */
  ARP_INHDR: 4,
  /** ARP operation is neither request nor reply (arp_process). */
  ARP_OP: 5,
  /** Fewer than 20 bytes of IPv4 (ip_rcv_core; kernel IP_INHDR). */
  IP_INHDR: 6,
  /** IP version is not 4 (ip_rcv_core; kernel IP_INHDR). */
  IP_VERSION: 7,
  /** IPv4 header length is under 20 bytes or runs past the frame (ip_rcv_core; kernel IP_INHDR). */
  IP_HLEN: 8,
  /** IPv4 header checksum is wrong (kernel IP_CSUM). */
  IP_CSUM: 9,
  /** IPv4 total length is more than the bytes that arrived (kernel PKT_TOO_SMALL). */
  PKT_TOO_SMALL: 10,
  /** IPv4 total length is less than the header length (ip_rcv_core; kernel IP_INHDR). */
  IP_TOTLEN: 11,
  /** An IPv4 option is malformed (__ip_options_compile; the kernel also answers with ICMP 12/0). */
  IP_OPTIONS: 12,
  /** ICMP checksum is wrong, or the message is empty (kernel ICMP_CSUM). */
  ICMP_CSUM: 13,
  /** Fewer than 8 bytes of ICMP (icmp_rcv). */
  ICMP_TOO_SHORT: 14,
  /** An ICMP error quotes no usable IPv4 header with 8 bytes after it (icmp_unreach, icmp_socket_deliver). */
  ICMP_QUOTE: 15,
  /** Fewer than 8 bytes of UDP (__udp4_lib_rcv). */
  UDP_TOO_SHORT: 16,
  /** UDP length is under 8 or more than the bytes that arrived (kernel PKT_TOO_SMALL). */
  UDP_LEN: 17,
  /** UDP checksum is present and wrong (kernel UDP_CSUM). */
  UDP_CSUM: 18,
  /** Fewer than 20 bytes of TCP (tcp_v4_rcv). */
  TCP_TOO_SHORT: 19,
  /** TCP data offset is under 20 bytes or runs past the segment (tcp_v4_rcv; kernel PKT_TOO_SMALL). */
  TCP_HLEN: 20,
  /** TCP checksum is wrong (kernel TCP_CSUM). */
  TCP_CSUM: 21,
} as const;

export type WireDropName = keyof typeof WireDrop;
export type WireDropReason = (typeof WireDrop)[WireDropName];

/** What a check returns when nothing is wrong. */
export const WIRE_OK = 0;

/** Reasons 0 … WIRE_DROP_COUNT - 1 belong to wire/; node/drop.ts numbers its own from here. */
export const WIRE_DROP_COUNT = 1 + Object.keys(WireDrop).length;

const NAMES: readonly string[] = ["OK", ...Object.keys(WireDrop)];

/** The name of a reason wire/ knows, "OK" for 0, undefined for any other number. */
export function wireDropName(reason: number): string | undefined {
  return NAMES[reason];
}
