// What a stage is called for people: the kernel function it stands for.

import { Stage } from "../node/stage.ts";

export interface StageInfo {
  /** Name in node/stage.ts. */
  name: string;
  /** The kernel's function; of the fabric, which part of the host switch. */
  fn: string;
  fabric: boolean;
}

const FUNCTIONS: Record<keyof typeof Stage, string> = {
  DONE: "done",
  IP_LOCAL_OUT: "ip_local_out",
  HOOK_LOCAL_OUT: "nf_hook LOCAL_OUT",
  IP_ROUTE_ME_HARDER: "ip_route_me_harder",
  HOOK_POST_ROUTING: "nf_hook POST_ROUTING",
  IP_FINISH_OUTPUT: "ip_finish_output",
  NEIGH_OUTPUT: "neigh_output",
  DEV_QUEUE_XMIT: "dev_queue_xmit",
  DEV_HARD_START_XMIT: "dev_hard_start_xmit",
  BR_DEV_XMIT: "br_dev_xmit",
  NETIF_RECEIVE: "netif_receive_skb",
  BR_HANDLE_FRAME: "br_handle_frame",
  HOOK_PRE_ROUTING: "nf_hook PRE_ROUTING",
  BR_NF_PRE_ROUTING_FINISH: "br_nf_pre_routing_finish",
  BR_NF_ROUTE: "ip_route_input",
  BR_NF_NEIGH: "br_nf_pre_routing_finish_bridge",
  BR_HANDLE_FRAME_FINISH: "br_handle_frame_finish",
  BR_FORWARD: "br_forward",
  BR_NF_FORWARD_FINISH: "br_nf_forward_finish",
  BR_FORWARD_FINISH: "br_forward_finish",
  BR_NF_DEV_QUEUE_XMIT: "br_nf_dev_queue_xmit",
  BR_DEV_QUEUE_PUSH_XMIT: "br_dev_queue_push_xmit",
  BR_PASS_FRAME_UP: "br_pass_frame_up",
  ARP_RCV: "arp_rcv",
  IP_RCV: "ip_rcv",
  NF_DEFRAG: "ip_defrag",
  IP_RCV_FINISH: "ip_rcv_finish",
  IP_FORWARD: "ip_forward",
  HOOK_FORWARD: "nf_hook FORWARD",
  IP_FORWARD_FINISH: "ip_forward_finish",
  IP_LOCAL_DELIVER: "ip_local_deliver",
  HOOK_LOCAL_IN: "nf_hook LOCAL_IN",
  IP_LOCAL_DELIVER_FINISH: "ip_local_deliver_finish",
  ICMP_RCV: "icmp_rcv",
  UDP_RCV: "udp_rcv",
  TCP_RCV: "tcp_v4_rcv",
  PROTO_UNKNOWN: "ip_protocol_deliver_rcu",
  ICMP_SEND: "icmp_send",
  IP_VS_NAT_XMIT: "ip_vs_nat_xmit",
  VNET_EGRESS: "host switch, egress",
  VNET_ROUTE: "effective routes",
  VNET_INGRESS: "host switch, ingress",
};

const FABRIC = new Set<number>([Stage.VNET_EGRESS, Stage.VNET_ROUTE, Stage.VNET_INGRESS]);

const INFO: StageInfo[] = [];
for (const [name, value] of Object.entries(Stage)) {
  const fn = FUNCTIONS[name as keyof typeof Stage];
  INFO[value] = { name, fn, fabric: FABRIC.has(value) };
}

export function stageInfo(stage: number): StageInfo {
  return INFO[stage] ?? { name: `STAGE_${stage}`, fn: `stage ${stage}`, fabric: false };
}

/** Names by number, for the head of a recording. */
export const STAGES: readonly string[] = Array.from(INFO, (s) => s?.name ?? "");
