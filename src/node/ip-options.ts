// What a frame's flags remember of struct ip_options (IPCB(skb)->opt) between its arrival and its answer.

import { OptionNeed } from "../wire/ipv4-options-echo.ts";
import type { Kernel } from "./kernel.ts";
import { SkbFlag } from "./sk-buff.ts";

const MS = 1e6;
const MS_PER_DAY = 86_400_000;

/** OptionNeed bits of a packet whose options were compiled. */
export function optionNeeds(flags: number): number {
  let needs = 0;
  if (flags & SkbFlag.RR_NEEDADDR) needs |= OptionNeed.RR_ADDRESS;
  if (flags & SkbFlag.TS_NEEDADDR) needs |= OptionNeed.TS_ADDRESS;
  if (flags & SkbFlag.TS_NEEDTIME) needs |= OptionNeed.TS_TIME;
  return needs;
}

/** inet_current_timestamp: milliseconds since midnight UT, when the emulation began. */
export function currentTimestamp(k: Kernel): number {
  return Math.floor(k.clock.now / MS) % MS_PER_DAY;
}
