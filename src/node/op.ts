// Operation codes of timed events: what Clock.at(time, op, a, b) means. walk/walk.ts dispatches them.

import type { Clock } from "../core/clock.ts";

export const Op = {
  /** a = neighbour row, b = its generation: neigh_timer_handler. */
  NEIGH_TIMER: 1,
  /** a = frame, b = device: a proxied ARP request's random delay is over (neigh_proxy_process). */
  ARP_PROXY: 2,
  /** a = frame, b = device: the link has carried the frame; the driver takes it. */
  LINK_DELIVER: 3,
  /** a = discipline, b = its generation: the rate limiter may send the next frame. */
  LINK_DEQUEUE: 4,
  /** a = fragment queue, b = its generation: ip_expire. */
  FRAG_EXPIRE: 5,
  /** a = generator or sender row: a traffic source sends. */
  SOURCE: 6,
  /** a = action number: a step of the script. */
  SCRIPT: 7,
  /** a = cluster and node, b = news that kube-proxy hears, or -1: it writes what it has heard. */
  PROXY_SYNC: 8,
  /** a = frame, b = NIC: the fabric's own delay is over. */
  VNET_DELIVER: 9,
  /** a = TCP socket, b = its generation: one of its timers is due. */
  TCP_TIMER: 10,
  /** programs have something to be told of their TCP sockets. */
  TCP_READY: 11,
  /** a = number of a Node socket's timeout (emulator/programs.ts). */
  PROGRAM_TIMEOUT: 12,
  /** a = cluster, b = timer of its control plane, or -1: its queue (cluster/control/). */
  CONTROL: 13,
  /** a = translated connection, b = its generation: it may have been idle too long (P57). */
  VNET_IDLE: 20,
  /** a = connection of IPVS, b = its generation: ip_vs_conn_expire. */
  IP_VS_TIMER: 23,
  /** a = lookup, b = queries it had sent, or -1: a stub resolver goes on. */
  RESOLVER: 22,
  /** a = target of a health probe, b = its generation: the next attempt is due. */
  PROBE: 21,
} as const;
/**
 * Events that bring about the next of their kind for ever: health probes, and with them the timers of the
 * neighbours that answer. Whoever runs until nothing is left to happen does not wait for their end.
 */
export function endless({ pending }: Clock): number {
  return pending[Op.PROBE] === 0 ? 0 : pending[Op.PROBE] + pending[Op.NEIGH_TIMER];
}

export type Op = (typeof Op)[keyof typeof Op];
