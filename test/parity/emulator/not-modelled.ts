// Which cases vnetem cannot play yet, found in what the case sends: declaring a listener that no frame
// reaches does no harm.

import type { NodeCase, Send } from "../case.ts";

/** A case vnetem cannot play, and why. */
export class NotModelled extends Error {}

interface Target {
  ip: string;
  proto: number;
  port: number;
}

const TCP = 6;
const UDP = 17;

/** Throws NotModelled when the case needs what a later issue brings. */
export function refuse(c: NodeCase): void {
  const targets = c.steps.flatMap((s) => s.send ?? []).flatMap(targetOf);
  for (const p of [...c.node.pods, { ip: c.node.nic.ip, sockets: c.node.sockets }]) {
    for (const s of p.sockets ?? []) {
      if (s.kind !== "tcp-listen") continue;
      const hit = targets.some((t) => t.proto === TCP && t.port === s.port && t.ip === p.ip);
      if (hit) throw new NotModelled("TCP listeners");
    }
  }
}

function targetOf(send: Send): Target[] {
  if ("udp" in send) return [{ ip: send.udp.to, proto: UDP, port: send.udp.port }];
  const f = Buffer.from(send.frame, "hex");
  if (f.length < 34 || f.readUInt16BE(12) !== 0x0800) return [];
  const l4 = 14 + (f[14] & 15) * 4;
  if (f.length < l4 + 4 || (f.readUInt16BE(20) & 0x1fff) !== 0) return [];
  return [{ ip: [...f.subarray(30, 34)].join("."), proto: f[23], port: f.readUInt16BE(l4 + 2) }];
}
