// Counters as data: what each device carried and lost, what was dropped for which reason, and the totals a
// run ends with. Drops of a device that has gone are counted in the totals and listed under its row's
// present name.

import { dropName } from "../node/drop.ts";
import type { Kernel } from "../node/kernel.ts";
import type { Names } from "./names.ts";
import { reasonText } from "./reasons.ts";

export interface DeviceCounters {
  device: string;
  rxPackets: number;
  rxBytes: number;
  rxDropped: number;
  txPackets: number;
  txBytes: number;
  txDropped: number;
}

export interface DropCount {
  /** "n0/eth0"; "-" when the frame was at no device. */
  device: string;
  reason: string;
  text: string;
  packets: number;
}

export interface Summary {
  /** Virtual time, nanoseconds. */
  time: number;
  /** Packets made. */
  packets: number;
  /** Packets a socket took, or answered. */
  delivered: number;
  dropped: number;
  /** Frames still under way. */
  underWay: number;
  /** Packets dropped by name of the reason, most first. */
  reasons: Record<string, number>;
  drops: DropCount[];
}

export function deviceCounters(k: Kernel, names: Names, ns: number): DeviceCounters[] {
  const { dev } = k;
  k.consulted.flush();
  const found: DeviceCounters[] = [];
  for (let d = k.ns.firstDev[ns]; d >= 0; d = dev.nextInNs[d]) {
    found.push({
      device: names.dev(d),
      rxPackets: dev.rxPackets[d],
      rxBytes: dev.rxBytes[d],
      rxDropped: dev.rxDropped[d],
      txPackets: dev.txPackets[d],
      txBytes: dev.txBytes[d],
      txDropped: dev.txDropped[d],
    });
  }
  return found;
}

/** Drops of one namespace, or of all (-1), by device and reason. */
export function dropCounts(k: Kernel, names: Names, ns: number): DropCount[] {
  const { drops } = k;
  const found: DropCount[] = [];
  for (let row = 0; row < drops.rows.used; row++) {
    const d = drops.dev[row];
    if (ns >= 0 && names.nsOf(d) !== ns) continue;
    const reason = drops.reason[row];
    found.push({
      device: names.dev(d),
      reason: dropName(reason),
      text: reasonText(reason),
      packets: drops.packets[row],
    });
  }
  const key = (c: DropCount): string => `${c.device} ${c.reason}`;
  return found.sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

export function summarize(k: Kernel, names: Names): Summary {
  const drops = dropCounts(k, names, -1);
  const byReason = new Map<string, number>();
  for (const d of drops) byReason.set(d.reason, (byReason.get(d.reason) ?? 0) + d.packets);
  const most = [...byReason].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  return {
    time: k.clock.now,
    packets: k.packets,
    delivered: k.delivered,
    dropped: k.dropped,
    underWay: k.skb.live,
    reasons: Object.fromEntries(most),
    drops,
  };
}

/** `vnetem show … drops`: device, reason, packets and what the reason means. */
export function showDrops(k: Kernel, names: Names, ns: number): string {
  const rows = dropCounts(k, names, ns).map((d) => [
    d.device.slice(d.device.lastIndexOf("/") + 1),
    d.reason,
    String(d.packets),
    d.text,
  ]);
  const table = [["DEVICE", "REASON", "PACKETS", "MEANING"], ...rows];
  const width = (i: number): number => Math.max(...table.map((row) => row[i].length));
  const [w0, w1, w2] = [width(0), width(1), width(2)];
  return table.map((r) => `${r[0].padEnd(w0)}  ${r[1].padEnd(w1)}  ${r[2].padStart(w2)}  ${r[3]}\n`).join("");
}
