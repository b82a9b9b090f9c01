// A random case about time: a neighbour that never answers and datagrams that never become whole. It has few
// frames, each waited for alone, so that the order of what timers cause is not a matter of milliseconds.

import type { NodeCase, Port, Send } from "../case.ts";
import * as frame from "../frame.ts";
import type { Draw } from "./draw.ts";
import { GATEWAY, NIC, OUTSIDE, type World } from "./node.ts";

/** Whole seconds, as net.ipv4.ipfrag_time counts. */
const FRAGMENT_SECONDS = 1;
/** Three requests this far apart, then failure. */
const RETRANS_MS = 100;
const FRAGMENTS_AT = 600;
const FRAGMENTS_GONE = 1900;
const NEIGHBOUR_FAILED = 2200;

export function slowCase(draw: Draw, world: World, seed: number): NodeCase {
  const { node, pods } = world;
  const pod = draw.pick(pods);
  const here: Port = `pod:${pod.name}`;
  const own = { mac: pod.mac, ip: pod.ip };
  const client = OUTSIDE[1];
  const silent = node.attachment === "bridge" ? "10.244.1.200" : "10.0.0.200";
  const sends: Send[] = [];
  const udp = frame.udp(client, { mac: NIC.mac, ip: silent }, 20_000, 8080, 20, { id: 1 });
  for (let i = draw.between(1, 3); i > 0; i--) sends.push({ at: "nic", frame: udp });
  const target = draw.pick([pod.ip, NIC.ip]);
  const whole = frame.udpFragments(client, { mac: NIC.mac, ip: target }, 20_001, 8080, 600, 256, { id: 2 });
  const kept = draw.pick([[0], [1], [0, 2], [2, 1]]);
  const pieces: Send[] = kept.map((i) => ({ at: "nic", frame: whole[i] }));
  const after = frame.ping(own, { mac: world.gatewayMac, ip: draw.pick([GATEWAY.ip, NIC.ip]) }, 5, 1, 8, {
    id: 3,
  });
  node.sysctls = { ...node.sysctls, "net.ipv4.ipfrag_time": FRAGMENT_SECONDS };
  for (const device of ["eth0", node.bridge?.device]) {
    if (device === undefined) continue;
    node.deviceSysctls = {
      ...node.deviceSysctls,
      [device]: { ...node.deviceSysctls?.[device], retrans_time_ms: RETRANS_MS },
    };
  }
  for (const p of pods) p.sysctls = { ...p.sysctls, "net.ipv4.ipfrag_time": FRAGMENT_SECONDS };
  const steps = [
    { at: 0, send: sends },
    { at: FRAGMENTS_AT, send: pieces },
    { at: FRAGMENTS_GONE, send: [{ at: here, frame: after }] },
    { at: NEIGHBOUR_FAILED, send: [{ at: "nic" as const, frame: udp }] },
  ];
  return { name: `random/${seed}`, facts: [], node, steps, masks: ["random-ports"] };
}
