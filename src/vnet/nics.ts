// Network interfaces as the fabric sees them: a port each, with what Azure programmed into it and what passed
// (V56 counts per port). The guest's own view of the same NIC is a row of node/net-device.ts.
// Absent: several queues, accelerated networking, public addresses.

import { growF64, growI32, growU8, growU16, Ids } from "../core/columns.ts";

/** Whose port it is: a guest's, or one of the fabric itself. */
export const NicRole = {
  GUEST: 0,
  /** 168.63.129.16 and 169.254.169.254, as one VNet sees them (platform.ts). */
  PLATFORM: 1,
  /** private-endpoints.ts. */
  PRIVATE_ENDPOINT: 2,
  PRIVATE_LINK_SERVICE: 3,
} as const;
export type NicRole = (typeof NicRole)[keyof typeof NicRole];

export class Nics {
  alive = new Uint8Array(64);
  role = new Uint8Array(64);
  /** Device of the guest (node/net-device.ts). */
  dev = new Int32Array(64);
  vnet = new Int32Array(64);
  subnet = new Int32Array(64);
  macHi = new Uint16Array(64);
  macLo = new Int32Array(64);
  /** First IP configuration, which is the primary one (V80), and how many there are (V81). */
  primary = new Int32Array(64);
  last = new Int32Array(64);
  configs = new Int32Array(64);
  /** V51. */
  ipForwarding = new Uint8Array(64);
  /** 0 while the VM is stopped. */
  running = new Uint8Array(64);
  /** Longest IP datagram the port carries (V40, V45). */
  mtu = new Int32Array(64);
  /** Overlay routing domain, -1 when none. */
  domain = new Int32Array(64);
  /** Its range of pod addresses there. */
  overlayNetwork = new Int32Array(64);
  overlayLength = new Uint8Array(64);
  /** NSG of the NIC itself (security-groups.ts), -1 when none. */
  nsg = new Int32Array(64);
  /** 1 when any security rules apply: its NSG, the subnet's, or security admin rules of the VNet. */
  policed = new Uint8Array(64);
  /** Application security groups it is in (V84). */
  groups = new Uint8Array(64);
  /** Counts the NICs this row has held, so that a frame under way cannot reach the next one. */
  generation = new Int32Array(64);
  /** Frames the guest handed over, frames delivered to it, and frames that ended at this port, either way. */
  sent = new Float64Array(64);
  sentBytes = new Float64Array(64);
  received = new Float64Array(64);
  receivedBytes = new Float64Array(64);
  dropped = new Float64Array(64);
  readonly ids = new Ids();

  add(dev: number, vnet: number, subnet: number): number {
    const n = this.ids.take();
    if (n >= this.alive.length) this.grow(n + 1);
    this.alive[n] = 1;
    this.role[n] = NicRole.GUEST;
    this.dev[n] = dev;
    this.vnet[n] = vnet;
    this.subnet[n] = subnet;
    this.primary[n] = -1;
    this.last[n] = -1;
    this.configs[n] = 0;
    this.ipForwarding[n] = 0;
    this.running[n] = 1;
    this.domain[n] = -1;
    this.nsg[n] = -1;
    this.policed[n] = 0;
    this.groups[n] = 0;
    this.sent[n] = this.sentBytes[n] = this.received[n] = this.receivedBytes[n] = this.dropped[n] = 0;
    return n;
  }

  remove(n: number): void {
    this.alive[n] = 0;
    this.generation[n]++;
    this.ids.give(n);
  }

  private grow(need: number): void {
    let n = this.alive.length;
    while (n < need) n *= 2;
    this.alive = growU8(this.alive, n);
    this.role = growU8(this.role, n);
    this.dev = growI32(this.dev, n);
    this.vnet = growI32(this.vnet, n);
    this.subnet = growI32(this.subnet, n);
    this.macHi = growU16(this.macHi, n);
    this.macLo = growI32(this.macLo, n);
    this.primary = growI32(this.primary, n);
    this.last = growI32(this.last, n);
    this.configs = growI32(this.configs, n);
    this.ipForwarding = growU8(this.ipForwarding, n);
    this.running = growU8(this.running, n);
    this.mtu = growI32(this.mtu, n);
    this.domain = growI32(this.domain, n);
    this.overlayNetwork = growI32(this.overlayNetwork, n);
    this.overlayLength = growU8(this.overlayLength, n);
    this.nsg = growI32(this.nsg, n);
    this.policed = growU8(this.policed, n);
    this.groups = growU8(this.groups, n);
    this.generation = growI32(this.generation, n);
    this.sent = growF64(this.sent, n);
    this.sentBytes = growF64(this.sentBytes, n);
    this.received = growF64(this.received, n);
    this.receivedBytes = growF64(this.receivedBytes, n);
    this.dropped = growF64(this.dropped, n);
  }
}
