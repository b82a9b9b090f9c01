// Connections that the fabric itself knows at both ends (azure.md 1.6, 4.4): of a NIC with the platform's
// addresses, with a private endpoint, with a service behind a service endpoint. One record per connection,
// found as the client sends it and as the server answers it; between the two the addresses may differ.
// A record ends when nothing used it for LINK_TIMEOUT. Nothing waits on the clock: each new record looks at
// two old ones and gives back those that are over.

import { growF64, growI32, growU8, Ids } from "../core/columns.ts";
import { HashIndex, hash4 } from "../core/hash-index.ts";
import { LINK_TIMEOUT } from "./azure.ts";

/** Old records looked at per new one. */
const LOOK_AT = 2;

export class Links {
  /** VNet or site the client is in, and NIC whose port its last packet left, with that NIC's generation. */
  vnet = new Int32Array(16);
  from = new Int32Array(16);
  fromGeneration = new Int32Array(16);
  /** As the client sends: its address, the one it asks, its port * 65536 + the one it asks. */
  client = new Int32Array(16);
  asked = new Int32Array(16);
  ports = new Int32Array(16);
  protocol = new Uint8Array(16);
  /** As the server sees it: the NIC that answers, whom it answers, from which address, and the ports. */
  server = new Int32Array(16);
  seen = new Int32Array(16);
  target = new Int32Array(16);
  serverPorts = new Int32Array(16);
  /** VNet of the private endpoint, or the client's own. */
  home = new Int32Array(16);
  /**
   * PROXY protocol (proxy-protocol.ts): sequence number of the client's first byte, bytes put before it (0:
   * none), and whether the service has acknowledged them.
   */
  first = new Int32Array(16);
  shift = new Int32Array(16);
  headerSeen = new Uint8Array(16);
  alive = new Uint8Array(16);
  /** When the record is over, ns. */
  deadline = new Float64Array(16);
  readonly ids = new Ids();
  private readonly byClient = new HashIndex(16);
  private readonly byServer = new HashIndex(16);
  private hand = 0;

  /** The record of what a client sends; -1 when there is none, or it is over. */
  find(vnet: number, client: number, asked: number, ports: number, protocol: number, now: number): number {
    const h = hash4(client, asked, ports, vnet * 256 + protocol);
    const { slots, hashes, mask } = this.byClient;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] !== h) continue;
      const row = r - 1;
      if (this.client[row] !== client || this.asked[row] !== asked || this.ports[row] !== ports) continue;
      if (this.vnet[row] !== vnet || this.protocol[row] !== protocol) continue;
      return this.live(row, now);
    }
    return -1;
  }

  /** The record of what a server answers; -1 when there is none, or it is over. */
  answered(
    server: number,
    seen: number,
    target: number,
    ports: number,
    protocol: number,
    now: number,
  ): number {
    const h = hash4(seen, target, ports, server * 256 + protocol);
    const { slots, hashes, mask } = this.byServer;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] !== h) continue;
      const row = r - 1;
      if (this.seen[row] !== seen || this.target[row] !== target || this.serverPorts[row] !== ports) continue;
      if (this.server[row] !== server || this.protocol[row] !== protocol) continue;
      return this.live(row, now);
    }
    return -1;
  }

  add(
    vnet: number,
    client: number,
    asked: number,
    ports: number,
    protocol: number,
    server: number,
    seen: number,
    target: number,
    serverPorts: number,
    now: number,
  ): number {
    for (let i = 0; i < LOOK_AT; i++) this.look(now);
    const row = this.ids.take();
    if (row >= this.vnet.length) this.grow(row * 2);
    this.vnet[row] = vnet;
    this.client[row] = client;
    this.asked[row] = asked;
    this.ports[row] = ports;
    this.protocol[row] = protocol;
    this.server[row] = server;
    this.seen[row] = seen;
    this.target[row] = target;
    this.serverPorts[row] = serverPorts;
    this.home[row] = vnet;
    this.shift[row] = 0;
    this.alive[row] = 1;
    this.byClient.insert(hash4(client, asked, ports, vnet * 256 + protocol), row);
    this.byServer.insert(hash4(seen, target, serverPorts, server * 256 + protocol), row);
    return row;
  }

  /** A packet of the client passed. */
  use(row: number, from: number, generation: number, now: number): void {
    this.from[row] = from;
    this.fromGeneration[row] = generation;
    this.deadline[row] = now + LINK_TIMEOUT;
  }

  remove(row: number): void {
    const protocol = this.protocol[row];
    const { client, asked, ports, vnet, seen, target, serverPorts, server } = this;
    this.byClient.remove(hash4(client[row], asked[row], ports[row], vnet[row] * 256 + protocol), row);
    this.byServer.remove(hash4(seen[row], target[row], serverPorts[row], server[row] * 256 + protocol), row);
    this.alive[row] = 0;
    this.ids.give(row);
  }

  private live(row: number, now: number): number {
    if (this.deadline[row] > now) return row;
    this.remove(row);
    return -1;
  }

  private look(now: number): void {
    if (this.ids.used === 0) return;
    if (this.hand >= this.ids.used) this.hand = 0;
    const row = this.hand++;
    if (this.alive[row] === 1 && this.deadline[row] <= now) this.remove(row);
  }

  private grow(n: number): void {
    this.vnet = growI32(this.vnet, n);
    this.from = growI32(this.from, n);
    this.fromGeneration = growI32(this.fromGeneration, n);
    this.client = growI32(this.client, n);
    this.asked = growI32(this.asked, n);
    this.ports = growI32(this.ports, n);
    this.protocol = growU8(this.protocol, n);
    this.server = growI32(this.server, n);
    this.seen = growI32(this.seen, n);
    this.target = growI32(this.target, n);
    this.serverPorts = growI32(this.serverPorts, n);
    this.home = growI32(this.home, n);
    this.first = growI32(this.first, n);
    this.shift = growI32(this.shift, n);
    this.headerSeen = growU8(this.headerSeen, n);
    this.alive = growU8(this.alive, n);
    this.deadline = growF64(this.deadline, n);
  }
}
