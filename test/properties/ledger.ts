// Every frame that is made ends once: taken by somebody or dropped with a reason of the closed list. The
// ledger watches the slab from outside, so that no stage can lose a frame without being seen.

import type { Net } from "../../src/emulator/net.ts";
import { dropName } from "../../src/node/drop.ts";

export class Ledger {
  made = 0;
  consumed = 0;
  dropped = 0;
  private readonly net: Net;

  constructor(net: Net) {
    this.net = net;
    const { k } = net.walk;
    const { skb } = k;
    const alloc = skb.alloc.bind(skb);
    const consume = k.consume.bind(k);
    const drop = k.drop.bind(k);
    skb.alloc = (len) => {
      const f = alloc(len);
      if (f >= 0) this.made++;
      return f;
    };
    k.consume = (f) => {
      this.consumed++;
      return consume(f);
    };
    k.drop = (f, reason) => {
      this.dropped++;
      return drop(f, reason);
    };
  }

  /** What does not add up; empty when all does. Frames may be held when `settled` is false. */
  faults(settled = true): string[] {
    const { k } = this.net.walk;
    const found: string[] = [];
    const held = this.made - this.consumed - this.dropped;
    if (held !== k.skb.live) found.push(`${held} frames unaccounted for, ${k.skb.live} alive`);
    if (settled && k.skb.live !== 0) found.push(`${k.skb.live} frames never ended`);
    if (k.backlog.size + k.softnet.size !== 0) found.push("frames wait while nothing is under way");
    let counted = 0;
    for (let row = 0; row < k.drops.rows.used; row++) {
      counted += k.drops.packets[row]!;
      const reason = k.drops.reason[row]!;
      if (reason === 0 || /^reason /.test(dropName(reason))) found.push(`drop reason ${reason} has no name`);
    }
    if (counted !== k.dropped) found.push(`${k.dropped} dropped, ${counted} counted by reason`);
    return found;
  }
}
