// The closed list of drop reasons. Names follow the kernel's SKB_DROP_REASON_* where one fits and DASH's port
// counters (azure.md V55, V56) for the fabric. Malformed headers come first, from wire/reason.ts, with their
// own numbers.

import { WireDrop } from "../wire/reason.ts";

export const Drop = {
  ...WireDrop,

  // Devices and memory
  /** No frame slot left (skb allocation failed). */
  NOMEM: 64,
  /** The device is administratively down (SKB_DROP_REASON_DEV_READY). */
  DEV_READY: 65,
  /** The device went away while the frame was under way. */
  DEV_GONE: 66,
  /** Longer than the receiving device takes (PKT_TOO_BIG at is_skb_forwardable). */
  DEV_MTU: 67,
  /** Destination MAC is another host's. */
  OTHERHOST: 68,
  /** No handler for this ethertype. */
  UNHANDLED_PROTO: 69,
  /** Queue of a rate-limited link is full. */
  QDISC_OVERLIMIT: 70,
  /** Lost by a link's loss setting. */
  NETEM_LOSS: 71,
  /** The link is cut. */
  NETEM_CUT: 72,
  /** Taken by a scripted fault. */
  NETEM_SCRIPTED: 73,
  /** The NIC is not plugged into anything. */
  NO_CARRIER: 74,

  // Bridge
  /** Source MAC is multicast or zero. */
  MAC_INVALID_SOURCE: 80,
  /** Link-local group address that a bridge does not forward (01:80:c2:00:00:01-0f). */
  MAC_IEEE_MAC_CONTROL: 81,
  /** No port may carry the frame: hairpin off, isolated ports, own source address, or no other port. */
  BRIDGE_NO_EGRESS_PORT: 82,
  /** An ebtables rule dropped it or answered it. */
  EBTABLES: 83,
  /** br_netfilter refused the IP header in br_validate_ipv4. */
  BRIDGE_IP_INVALID: 84,
  /** The bridge itself is down or has no use for the frame. */
  BRIDGE_DOWN: 85,

  // Neighbours
  NEIGH_FAILED: 90,
  NEIGH_QUEUEFULL: 91,
  NEIGH_DEAD: 93,

  // IPv4
  IP_INNOROUTES: 100,
  IP_OUTNOROUTES: 101,
  IP_RPFILTER: 102,
  IP_LOCAL_SOURCE: 103,
  IP_INVALID_SOURCE: 104,
  IP_INVALID_DEST: 105,
  IP_LOCALNET: 106,
  /** ip_forward is 0. */
  IP_FORWARDING_DISABLED: 108,
  IP_BLACKHOLE: 109,
  IP_UNREACHABLE: 110,
  IP_PROHIBIT: 111,
  TTL_EXPIRED: 112,
  /** Longer than the MTU of the way out with DF set. */
  PKT_TOO_BIG: 113,
  IP_NOPROTO: 114,
  FRAG_REASM_TIMEOUT: 115,
  FRAG_OVERLAP: 116,
  FRAG_NOMEM: 118,
  /** Broadcast or multicast that nobody here asked for. */
  IP_MULTICAST_UNWANTED: 119,
  /** Packet for us at L2 only, not to be forwarded (pkt_type is not HOST in ip_forward). */
  IP_FORWARD_NOT_HOST: 120,
  /** The fragment was there already. */
  DUP_FRAG: 122,
  /** Source routes are not accepted (accept_source_route). */
  IP_SOURCE_ROUTE: 121,

  // Netfilter
  /** No endpoint anywhere: REJECT, answered with ICMP port unreachable. */
  SERVICE_REJECT: 130,
  /** Policy Local without a local endpoint: dropped in silence. */
  SERVICE_NO_LOCAL_ENDPOINTS: 131,
  /** KUBE-FORWARD: conntrack state INVALID. */
  CT_INVALID: 132,
  /** FORWARD policy DROP. */
  FORWARD_POLICY: 133,
  /** nf_conntrack_max reached and nothing could be evicted. */
  CT_TABLE_FULL: 134,
  /** A clash at confirmation (insert_failed). */
  CT_INSERT_FAILED: 135,
  /** No free port for source NAT. */
  NAT_NO_PORT: 136,
  /** NAT drops ICMP redirects and errors it cannot translate. */
  NAT_ICMP: 137,
  /** KUBE-FIREWALL: 127/8 from elsewhere. */
  KUBE_FIREWALL: 138,
  /** The masqueraded flow would leave by another interface than the one it was masqueraded for. */
  MASQUERADE_ROUTE_CHANGED: 139,
  /** MASQUERADE found no address on the outgoing device ("ate my IP address"). */
  MASQUERADE_NO_ADDRESS: 141,
  /** nftables mode: an address of the Service CIDR that no Service has. */
  SERVICE_UNALLOCATED: 142,
  /** Not in loadBalancerSourceRanges of the address it was sent to. */
  SERVICE_SOURCE_RANGE: 143,
  /** The source pod is isolated for egress and no NetworkPolicy allows it. */
  NETWORK_POLICY_EGRESS: 144,
  /** The destination pod is isolated for ingress and no NetworkPolicy allows it. */
  NETWORK_POLICY_INGRESS: 145,
  /** IPVS: the server of the connection is gone, which this packet finds out. */
  IP_VS_NO_SERVER: 146,

  // Sockets
  /** Nothing listens on the port; answered with ICMP port unreachable or RST where the RFC says so. */
  NO_SOCKET: 150,
  /** The socket's receive queue is full. */
  SOCKET_RCVBUFF: 151,
  ICMP_IGNORED: 152,

  // TCP sockets (the names of SKB_DROP_REASON_TCP_*)
  /** Flags that mean nothing in the state: no ACK, or ACK to a listener. */
  TCP_FLAGS: 180,
  /** Ends before the window: received already. */
  TCP_OLD_SEQUENCE: 181,
  /** Begins behind the window. */
  TCP_INVALID_SEQUENCE: 182,
  /** Ends behind the window while data waits to be read. */
  TCP_INVALID_END_SEQUENCE: 183,
  /** The timestamp is older than one already seen. */
  TCP_RFC7323_PAWS: 184,
  /** A reset that nobody acts on, or that ends a request. */
  TCP_RESET: 185,
  /** A SYN for a connection that exists. */
  TCP_INVALID_SYN: 186,
  /** Acknowledges something before the connection was established. */
  TCP_OLD_ACK: 187,
  /** Acknowledges something too long ago (RFC 5961 5). */
  TCP_TOO_OLD_ACK: 188,
  /** Acknowledges what was never sent. */
  TCP_ACK_UNSENT_DATA: 189,
  /** The answer to a SYN acknowledges something else. */
  TCP_INVALID_ACK_SEQUENCE: 190,
  /** Data that was received already. */
  TCP_OLD_DATA: 192,
  /** Data behind the window, or for a closed one. */
  TCP_OVERWINDOW: 193,
  /** The listener's queue is full. */
  TCP_LISTEN_OVERFLOW: 194,
  /** Data for a program that has closed. */
  TCP_ABORT_ON_DATA: 195,

  // Azure fabric (DASH counter names in docs/fidelity.md)
  /** DropIPv4SpoofingPacket: source is not an address of the NIC and IP forwarding is off. */
  VNET_SPOOFED_SOURCE: 160,
  /** Source MAC is not the NIC's. */
  VNET_SPOOFED_MAC: 161,
  /** DropBroadcastPacket. */
  VNET_BROADCAST: 162,
  VNET_MULTICAST: 163,
  /** DropBlockedPacket: IP-in-IP, GRE, unicast DHCP, UDP source port 65330. */
  VNET_BLOCKED: 164,
  /** DropInvalidPacket: not IPv4 or ARP, or malformed. */
  VNET_INVALID: 165,
  /** Effective route None. */
  VNET_ROUTE_NONE: 166,
  /** Next hop Internet, which this network does not have. */
  VNET_NO_INTERNET: 167,
  /** In the address space, but no NIC owns it. */
  VNET_NO_SUCH_ADDRESS: 168,
  /** Arrived at a NIC that does not own the address and does not forward. */
  VNET_NOT_ADDRESSED: 169,
  /** The route's virtual appliance address belongs to no NIC. */
  VNET_NEXT_HOP_UNKNOWN: 170,
  /** DroppedFragPacket: a later fragment whose first was not seen. */
  VNET_FRAGMENT: 171,
  /** Longer than the MTU of the network and not to be fragmented. */
  VNET_MTU: 172,
  /** ARP for the NIC's own address, which the fabric leaves unanswered. */
  VNET_ARP_OWN: 173,
  /** The subnet's gateway or another platform address has no answer for it. */
  VNET_PLATFORM: 174,
  /** The target VM is stopped. */
  VNET_STOPPED: 175,
  /** Came back to the fabric again and again: flooded by a bridge whose NIC port has hairpin on. */
  VNET_LOOP: 176,
  /** Did not originate in the peered VNet, and the receiving link has allowForwardedTraffic off. */
  VNET_NOT_FORWARDED: 177,
  /** DroppedAclPacket: a rule of a network security group denies it. */
  VNET_NSG_DENY: 178,
  /** DroppedAclPacket: a security admin rule denies it. */
  VNET_ADMIN_DENY: 179,
  /** DroppedResourcesUnifiedFlowMaxFlowsLimit: the NIC has as many connections as it may. */
  VNET_FLOW_LIMIT: 196,
  /** No gateway connection that is up leads to the destination. */
  VNET_NO_GATEWAY: 197,
  /** Longer than a VPN tunnel carries. */
  VNET_TUNNEL_MTU: 198,
  /** To the platform's DHCP server, and no whole request. */
  VNET_DHCP_INVALID: 199,
  /** To the platform's DNS, and no whole query. */
  VNET_DNS_INVALID: 200,
  /** The connection of the private endpoint is not Approved. */
  VNET_ENDPOINT_STATE: 201,
  /** Private Link and service endpoints carry TCP and UDP, in one piece. */
  VNET_LINK_PROTOCOL: 202,
  /** To a NAT address of a Private Link service, and nobody's answer. */
  VNET_LINK_NO_CONNECTION: 203,
  /** Every port by which the service could tell this connection from others is in use. */
  VNET_LINK_NO_PORT: 204,
  /** Nothing gives the sender a public address: no NAT gateway, public IP, outbound rule; private subnet. */
  VNET_NO_OUTBOUND: 210,
  /** Every SNAT port for this destination is in use. */
  VNET_SNAT_EXHAUSTED: 211,
  /** SNAT and load balancing carry TCP and UDP only. */
  VNET_NAT_PROTOCOL: 212,
  /** SNAT and load balancing carry no fragments. */
  VNET_NAT_FRAGMENT: 213,
  /** Belongs to no translated connection, and begins none. */
  VNET_NO_TRANSLATION: 214,
  /** The frontend of the load balancer has no rule for this port. */
  VNET_NO_RULE: 215,
  /** No backend of the rule is up. */
  VNET_NO_BACKEND: 216,
} as const;

export type Drop = (typeof Drop)[keyof typeof Drop];

const names: string[] = [];
for (const [name, value] of Object.entries(Drop)) names[value] = name;

/** Name of a drop reason, for people. */
export function dropName(reason: number): string {
  return names[reason] ?? `reason ${reason}`;
}

/** All reasons, in order of their numbers. */
export const DROP_REASONS: readonly number[] = Object.values(Drop)
  .filter((v) => v > 0)
  .sort((a, b) => a - b);
