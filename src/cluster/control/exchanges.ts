// TCP sockets of the control plane's own programs, by row: probes and leases of kubelets, the API server, and
// the HTTP servers that stand in for containers. Told by the emulator's dispatcher of programs.

import type { ControlPlane } from "./control-plane.ts";
import { type ApiExchange, apiHappened, type LeaseExchange, leaseHappened } from "./leases.ts";
import type { Pod } from "./objects.ts";
import { type ProbeExchange, probeHappened } from "./probe-socket.ts";
import { type ServerExchange, serverHappened } from "./web-server.ts";

export type Exchange = ProbeExchange | ServerExchange | LeaseExchange | ApiExchange;

/** What exchanges about a container have. */
export interface ExchangeOf {
  generation: number;
  pod: Pod;
  container: number;
}

/** True when the socket belongs to the control plane. */
export function tellControl(cp: ControlPlane, row: number, events: number): boolean {
  const exchange = cp.exchanges.get(row);
  if (exchange === undefined) return false;
  if (exchange.generation !== cp.cluster.walk.sock.tcp.generation[row]) {
    cp.exchanges.delete(row);
    return false;
  }
  switch (exchange.kind) {
    case "probe":
      probeHappened(cp, row, exchange, events);
      break;
    case "server":
      serverHappened(cp, row, exchange, events);
      break;
    case "lease":
      leaseHappened(cp, row, exchange, events);
      break;
    case "api":
      apiHappened(cp, row, exchange, events);
      break;
  }
  return true;
}
