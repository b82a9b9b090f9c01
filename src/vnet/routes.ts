// Routes and the choice between them (azure.md 2.1-2.4). A list of routes holds the system routes of a VNet,
// what it learned from its gateways, or a user-defined route table (R7); the effective table of a subnet
// holds the winner of each prefix. Equal prefixes: user before BGP before system (2.4.2), but for 2.4.3. A
// change touches only its own prefix in the subnets concerned.
// Routes of service endpoints belong to one subnet and win over everything inside them (2.4.3).

import { growI32, growU8, Ids } from "../core/columns.ts";
import { PrefixTable, prefixMask } from "../core/prefix-table.ts";
import { NextHop, type RouteSource } from "./azure.ts";

export class Routes {
  key = new Int32Array(64);
  length = new Uint8Array(64);
  type = new Uint8Array(64);
  /** Address of the virtual appliance, row of the peered VNet, or of the connection learned from; or 0. */
  nextHop = new Int32Array(64);
  source = new Uint8Array(64);
  /** Neighbours in the same list, in order of creation; -1 ends. */
  next = new Int32Array(64);
  prev = new Int32Array(64);
  readonly ids = new Ids();
  /** Per list: first, last, number of routes. */
  first = new Int32Array(16);
  last = new Int32Array(16);
  count = new Int32Array(16);
  readonly lists = new Ids();
  /** Owner: list. Value: route. */
  readonly defined = new PrefixTable();
  /** Owner: subnet. Value: the route that wins. */
  readonly effective = new PrefixTable();

  addList(): number {
    const list = this.lists.take();
    if (list >= this.first.length) {
      this.first = growI32(this.first, list * 2);
      this.last = growI32(this.last, list * 2);
      this.count = growI32(this.count, list * 2);
    }
    this.first[list] = -1;
    this.last[list] = -1;
    this.count[list] = 0;
    return list;
  }

  /** Gives back a list; its routes go with it. */
  removeList(list: number): void {
    for (let r = this.first[list]; r >= 0; r = this.first[list])
      this.remove(list, this.key[r], this.length[r]);
    this.lists.give(list);
  }

  find(list: number, key: number, length: number): number {
    const row = this.defined.exact(list, key, length);
    return row < 0 ? -1 : this.defined.value[row];
  }

  /** Adds a route to a list, or replaces the one with this prefix in its place. */
  set(
    list: number,
    key: number,
    length: number,
    type: NextHop,
    nextHop: number,
    source: RouteSource,
  ): number {
    let route = this.find(list, key, length);
    if (route < 0) {
      route = this.ids.take();
      if (route >= this.key.length) this.grow(route + 1);
      this.key[route] = key & prefixMask(length);
      this.length[route] = length;
      this.append(list, route);
      this.defined.set(list, key, length, route);
    }
    this.type[route] = type;
    this.nextHop[route] = nextHop;
    this.source[route] = source;
    return route;
  }

  remove(list: number, key: number, length: number): void {
    const route = this.find(list, key, length);
    if (route < 0) return;
    this.defined.remove(list, key, length);
    const { next, prev } = this;
    if (prev[route] < 0) this.first[list] = next[route];
    else next[prev[route]] = next[route];
    if (next[route] < 0) this.last[list] = prev[route];
    else prev[next[route]] = prev[route];
    this.count[list]--;
    this.ids.give(route);
  }

  /** Chooses anew for one prefix of one subnet. A list that it does not have is -1. */
  select(
    subnet: number,
    services: number,
    user: number,
    learned: number,
    system: number,
    key: number,
    length: number,
  ): void {
    let winner = services < 0 ? -1 : this.find(services, key, length);
    const covered = services >= 0 && winner < 0 && this.isCovered(services, key, length);
    if (winner < 0 && user >= 0 && !covered) winner = this.find(user, key, length);
    if (winner < 0 && learned >= 0 && !covered) {
      winner = this.find(learned, key, length);
      if (winner >= 0 && this.isShadowed(system, key, length)) winner = -1;
    }
    if (winner < 0) winner = this.find(system, key, length);
    if (winner < 0) this.effective.remove(subnet, key, length);
    else this.effective.set(subnet, key, length, winner);
  }

  /** Does a route of the list hold the whole prefix? */
  isCovered(list: number, key: number, length: number): boolean {
    for (let p = this.defined.longest(list, key); p >= 0; p = this.defined.shorter(p, key)) {
      if (this.length[this.defined.value[p]] <= length) return true;
    }
    return false;
  }

  /** 2.4.3: the system's routes to the VNet and to peers beat BGP even where BGP is more specific. */
  isShadowed(system: number, key: number, length: number): boolean {
    for (let p = this.defined.longest(system, key); p >= 0; p = this.defined.shorter(p, key)) {
      const route = this.defined.value[p];
      const own = this.type[route] === NextHop.VNET_LOCAL || this.type[route] === NextHop.VNET_PEERING;
      if (own && this.length[route] <= length) return true;
    }
    return false;
  }

  /** The route a packet to `dst` takes out of a subnet, or -1. */
  lookup(subnet: number, dst: number): number {
    const row = this.effective.longest(subnet, dst);
    return row < 0 ? -1 : this.effective.value[row];
  }

  private append(list: number, route: number): void {
    this.next[route] = -1;
    this.prev[route] = this.last[list];
    if (this.last[list] < 0) this.first[list] = route;
    else this.next[this.last[list]] = route;
    this.last[list] = route;
    this.count[list]++;
  }

  private grow(need: number): void {
    let n = this.key.length;
    while (n < need) n *= 2;
    this.key = growI32(this.key, n);
    this.length = growU8(this.length, n);
    this.type = growU8(this.type, n);
    this.nextHop = growI32(this.nextHop, n);
    this.source = growU8(this.source, n);
    this.next = growI32(this.next, n);
    this.prev = growI32(this.prev, n);
  }
}
