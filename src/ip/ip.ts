// The IP layer's state for all kernels, and the result registers of a route look-up.

import type { Kernel } from "../node/kernel.ts";
import { Devinet } from "./devinet.ts";
import { Fib } from "./fib.ts";
import { Fragments } from "./fragment.ts";
import { Neighbours } from "./neigh.ts";
import { NextHopExceptions } from "./nexthop-exceptions.ts";
import { Peers } from "./peers.ts";
import { ipRouteInputOf } from "./route.ts";

export class Ip {
  readonly k: Kernel;
  readonly fib: Fib;
  readonly neigh: Neighbours;
  readonly exceptions: NextHopExceptions;
  readonly peers: Peers;
  readonly frags: Fragments;
  readonly devinet: Devinet;
  /** Result of route.ts ipRouteOutput: type, device, next hop, source and path MTU. */
  rtType = 0;
  rtDev = -1;
  rtNexthop = 0;
  rtSource = 0;
  rtMtu = 0;

  constructor(k: Kernel) {
    this.k = k;
    this.fib = new Fib();
    this.fib.changing = (ns, network, mask) => k.consulted.routesChanged(ns, network, mask);
    this.neigh = new Neighbours(k);
    this.exceptions = new NextHopExceptions(k, this.fib);
    this.peers = new Peers(k);
    this.frags = new Fragments(k);
    this.frags.routeInput = (f) => ipRouteInputOf(this, f);
    this.devinet = new Devinet(k, this.fib, this.neigh, this.frags);
  }
}
