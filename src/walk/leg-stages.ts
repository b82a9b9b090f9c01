// Where legs (flow-leg.ts) begin and end: the stages that look at the connection of a packet, those that come
// right after them, and those where a packet is taken from its walk.

import type { Kernel } from "../node/kernel.ts";
import { PacketType, SkbFlag } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";

/** A leg may begin here, after a stage that has FROM_HERE, and may end where asks() says so. */
export const BEGINS = 1;
export const MAY_END = 2;
export const FROM_HERE = 4;

const HOOKS = [
  Stage.HOOK_LOCAL_OUT,
  Stage.HOOK_PRE_ROUTING,
  Stage.HOOK_FORWARD,
  Stage.HOOK_POST_ROUTING,
  Stage.HOOK_LOCAL_IN,
];
// What follows FORWARD is short enough to walk.
const FIRST = [
  Stage.HOOK_LOCAL_OUT,
  Stage.IP_ROUTE_ME_HARDER,
  Stage.BR_NF_PRE_ROUTING_FINISH,
  Stage.IP_RCV_FINISH,
  Stage.IP_FINISH_OUTPUT,
  Stage.BR_NF_DEV_QUEUE_XMIT,
];
const TAKEN = [Stage.IP_LOCAL_DELIVER_FINISH, Stage.DEV_QUEUE_XMIT, Stage.BR_PASS_FRAME_UP];

/** These bits of each stage. */
export const LEG_STAGES = new Uint8Array(256);
for (const stage of FIRST) LEG_STAGES[stage] |= BEGINS;
for (const stage of [...HOOKS, ...TAKEN]) LEG_STAGES[stage] |= MAY_END;
for (const stage of [...HOOKS, Stage.IP_LOCAL_OUT]) LEG_STAGES[stage] |= FROM_HERE;

/** Does the stage look at the connection of this frame, or take the frame away? */
export function asks(k: Kernel, f: number, stage: Stage): boolean {
  const { skb, ns, dev } = k;
  const flags = skb.flags[f];
  switch (stage) {
    case Stage.HOOK_PRE_ROUTING:
      // The bridge has asked for it (ip_sabotage_in).
      if ((flags & (SkbFlag.SABOTAGE | SkbFlag.BR_NF)) === SkbFlag.SABOTAGE) return false;
      return ns.netfilter[skb.ns[f]] !== 0;
    case Stage.HOOK_LOCAL_OUT:
    case Stage.HOOK_FORWARD:
    case Stage.HOOK_POST_ROUTING:
    case Stage.HOOK_LOCAL_IN:
      return ns.netfilter[skb.ns[f]] !== 0;
    case Stage.BR_PASS_FRAME_UP:
      // br_nf_local_in confirms what may end above the bridge.
      return (flags & SkbFlag.BR_NF) !== 0 && skb.pktType[f] !== PacketType.HOST;
    case Stage.DEV_QUEUE_XMIT:
      return dev.qdisc[skb.dev[f]] >= 0;
    case Stage.IP_LOCAL_DELIVER_FINISH:
      return true;
    default:
      return false;
  }
}
