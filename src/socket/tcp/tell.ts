// Telling the program (sk_data_ready, sk_write_space, sk_state_change, sk_error_report): not in the middle of
// a segment, as the kernel wakes a process that runs when the softirq is over, but by an event at the same
// instant.

import { Op } from "../../node/op.ts";
import { TcpFlag } from "./state.ts";
import type { Tcp } from "./table.ts";

/** The program of this socket will hear of `events`, unless it has closed it. */
export function tell(t: Tcp, row: number, events: number): void {
  if (t.flags[row] & TcpFlag.DEAD) return;
  // A child nobody has accepted has no program yet.
  if (t.parent[row] >= 0) return;
  t.events[row] |= events;
  if (t.flags[row] & TcpFlag.QUEUED) return;
  t.flags[row] |= TcpFlag.QUEUED;
  if (t.ready.size === 0) t.k.clock.at(t.k.clock.now, Op.TCP_READY, 0, 0);
  t.ready.push(row, t.generation[row]);
}
