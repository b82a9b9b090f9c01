// Frames that passed the tapped devices of an emulation, as tests read them.

import type { Net } from "../../src/emulator/net.ts";
import { Direction } from "../../src/node/capture.ts";
import { printBytes } from "../../src/wire/print.ts";

export interface Seen {
  /** Seconds. */
  time: number;
  /** "n0/eth0". */
  device: string;
  direction: "in" | "out";
  /** As `tcpdump -n -e` writes it. */
  line: string;
}

/** What the taps saw, in order. */
export function seen(net: Net): Seen[] {
  const { capture } = net.walk.k;
  return Array.from({ length: capture.count }, (_, i) => ({
    time: capture.time[i] / 1e9,
    device: capture.names[capture.iface[i]],
    direction: capture.direction[i] === Direction.IN ? "in" : "out",
    line: printBytes(capture.bytes.slice(capture.start[i], capture.start[i] + capture.len[i]), {
      macs: true,
    }),
  }));
}
