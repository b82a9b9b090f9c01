// The stages of a packet's path. A stage is a function of one frame that returns the next stage; walk/walk.ts
// is the only place that joins them. Names are the kernel functions they stand for; the folder that
// implements each stands beside it.

export const Stage = {
  /** The frame was delivered, dropped, queued or handed to an event. */
  DONE: 0,

  /**
   * ip/output.ts: ip_queue_xmit, ip_push_pending_frames: route lookup of a locally made packet, then
   * LOCAL_OUT.
   */
  IP_LOCAL_OUT: 1,
  /** netfilter/hooks.ts: NF_INET_LOCAL_OUT. */
  HOOK_LOCAL_OUT: 2,
  /** ip/output.ts: ip_route_me_harder when LOCAL_OUT changed the destination; otherwise straight on. */
  IP_ROUTE_ME_HARDER: 3,
  /** netfilter/hooks.ts: NF_INET_POST_ROUTING (IP output, or the bridge port in br_netfilter). */
  HOOK_POST_ROUTING: 4,
  /** ip/output.ts: ip_finish_output: MTU, fragmentation. */
  IP_FINISH_OUTPUT: 5,
  /** ip/neigh-output.ts: ip_finish_output2, neigh_output: Ethernet header, or queue and ARP. */
  NEIGH_OUTPUT: 6,
  /** link/dev.ts: dev_queue_xmit: counters, taps, queueing discipline, then the driver. */
  DEV_QUEUE_XMIT: 7,
  /** link/dev.ts: dev_hard_start_xmit: veth, loopback, bridge device or NIC. */
  DEV_HARD_START_XMIT: 8,
  /** link/bridge.ts: br_dev_xmit: the bridge device itself sends. */
  BR_DEV_XMIT: 9,

  /** link/dev.ts: __netif_receive_skb_core: counters, taps, rx_handler or protocol. */
  NETIF_RECEIVE: 10,
  /** link/bridge.ts: br_handle_frame: source checks, link-local groups, ebtables PREROUTING. */
  BR_HANDLE_FRAME: 11,
  /** netfilter/hooks.ts: NF_INET_PRE_ROUTING. */
  HOOK_PRE_ROUTING: 13,
  /** link/br-netfilter.ts: br_nf_pre_routing_finish: bridged DNAT, routed DNAT or unchanged. */
  BR_NF_PRE_ROUTING_FINISH: 14,
  /** walk/bridge-route.ts: ip_route_input and ip_route_output on behalf of br_nf_pre_routing_finish. */
  BR_NF_ROUTE: 15,
  /**
   * ip/neigh-output.ts: br_nf_pre_routing_finish_bridge: destination MAC of the new next hop, or queue and
   * ARP.
   */
  BR_NF_NEIGH: 16,
  /** link/bridge.ts: br_handle_frame_finish: learn, look up, forward, flood, pass up. */
  BR_HANDLE_FRAME_FINISH: 17,
  /** link/bridge.ts: __br_forward: one egress port. */
  BR_FORWARD: 18,
  /** link/br-netfilter.ts: br_nf_forward_finish. */
  BR_NF_FORWARD_FINISH: 19,
  /** link/bridge.ts: br_forward_finish: ebtables POSTROUTING, br_nf_post_routing. */
  BR_FORWARD_FINISH: 20,
  /** link/br-netfilter.ts: br_nf_dev_queue_xmit: refragment, then the port. */
  BR_NF_DEV_QUEUE_XMIT: 21,
  /** link/bridge.ts: br_dev_queue_push_xmit: push the Ethernet header and transmit on the port. */
  BR_DEV_QUEUE_PUSH_XMIT: 22,
  /** link/bridge.ts: br_pass_frame_up: the bridge device receives. */
  BR_PASS_FRAME_UP: 23,

  /** ip/arp.ts: arp_rcv, arp_process. */
  ARP_RCV: 24,
  /** ip/input.ts: ip_rcv: header checks. */
  IP_RCV: 25,
  /** ip/fragment.ts: ip_defrag for conntrack, then the hook again. */
  NF_DEFRAG: 26,
  /** ip/input.ts: ip_rcv_finish: options, route, local or forward. */
  IP_RCV_FINISH: 27,
  /** ip/forward.ts: ip_forward: TTL, MTU, redirect. */
  IP_FORWARD: 28,
  /** netfilter/hooks.ts: NF_INET_FORWARD. */
  HOOK_FORWARD: 29,
  /** ip/forward.ts: ip_forward_finish. */
  IP_FORWARD_FINISH: 30,
  /** ip/input.ts: ip_local_deliver: reassembly, then LOCAL_IN. */
  IP_LOCAL_DELIVER: 31,
  /** netfilter/hooks.ts: NF_INET_LOCAL_IN. */
  HOOK_LOCAL_IN: 32,
  /** ip/input.ts: ip_local_deliver_finish: protocol demultiplexing. */
  IP_LOCAL_DELIVER_FINISH: 33,
  /** socket/icmp.ts: icmp_rcv. */
  ICMP_RCV: 34,
  /** socket/udp.ts: udp_rcv. */
  UDP_RCV: 35,
  /** socket/tcp/input.ts: tcp_v4_rcv. */
  TCP_RCV: 36,
  /** socket/proto-unknown.ts: no handler for the IP protocol. */
  PROTO_UNKNOWN: 41,
  /**
   * ip/icmp.ts: icmp_send about this frame (columns icmp and icmpInfo), then the frame ends with its reason.
   */
  ICMP_SEND: 37,

  /** walk/ip-vs-xmit.ts: ip_vs_nat_xmit: a request to a Service goes to the server IPVS has for it. */
  IP_VS_NAT_XMIT: 42,

  /** vnet/egress.ts: the fabric takes the frame from a NIC: anti-spoofing, ARP, blocked traffic. */
  VNET_EGRESS: 38,
  /** vnet/route.ts: effective routes, next hop. */
  VNET_ROUTE: 39,
  /** vnet/ingress.ts: destination NIC, MAC rewrite, delivery. */
  VNET_INGRESS: 40,
} as const;

export type Stage = (typeof Stage)[keyof typeof Stage];

const names: string[] = [];
for (const [name, value] of Object.entries(Stage)) names[value] = name;
/** Names by number. */
export const STAGE_NAMES: readonly string[] = names;

/** Limit of stages one frame may pass without being queued: a loop in the model is our bug. */
export const STAGES_MAX = 4096;
