// What a stage decided about a packet, as integers: the raw material of explain, recordings and pcapng
// comments. Written only while somebody observes. observe/describe.ts turns notes into words.

import { growF64, growI32 } from "../core/columns.ts";

export const NoteKind = {
  /** a frame entered stage a. */
  STAGE: 0,
  /** dropped: a = reason. */
  DROP: 1,
  /**
   * DNAT: a, b = old address and port; c, d = new, and d + 65536 in the reply direction; e = service port *
   * 65536 + endpoint number in order.
   */
  DNAT: 2,
  /** SNAT: a, b = old address and port; c, d = new. */
  SNAT: 3,
  /** conntrack: a = entry, b = enum ip_conntrack_info, c = 1 when the entry is new. */
  CONNTRACK: 4,
  /** route chosen: a = type, b = device, c = next hop, d = prefix length. */
  ROUTE: 5,
  /** destination MAC chosen: a, b = MAC; c = next hop; d = neighbour state. */
  NEIGH: 6,
  /** bridge decision: a = bridge, b = egress device or -1 for flood, -2 for local. */
  BRIDGE: 7,
  /** ebtables rule applied: a = rule number (E row), b, c = MAC written. */
  EBTABLES: 8,
  /**
   * service matched: a = service port, b = revision of the node, c = 1 endpoint / 0 reject / -1 drop,
   * d = endpoints there were to choose from.
   */
  SERVICE: 9,
  /** ICMP error sent about this packet: a = type * 256 + code, b = info. */
  ICMP_ERROR: 10,
  /** answer made by the receiving side: a = kind (IP protocol or ETHERTYPE_ARP), b = its packet's number. */
  REPLY: 11,
  /** fabric route: a = next hop type, b = next hop, c = prefix length, d = route source. */
  VNET_ROUTE: 12,
  /** delivered to a socket: a = socket row, b = IP protocol. */
  DELIVER: 13,
  /** fragmented into a pieces of at most b bytes, or (a = 0) reassembled to b bytes. */
  FRAGMENT: 14,
  /** a copy of the frame goes on: a = device. */
  CLONE: 15,
  /**
   * the link changed the frame's fate: a = 1 delayed by b ns and c s, 2 duplicate, 3 corrupted at byte b,
   * bit c, 4 let past those that wait, 5 queued with b frames waiting (link/netem-path.ts LinkNote).
   */
  LINK: 16,
  /**
   * security rules of the fabric: a = 0 a rule, 1 a flow record; b = 0 inbound, 1 outbound; c = security
   * group, d = rule id, e = access (vnet/security-groups.ts).
   */
  SECURITY: 17,
  /**
   * the fabric translated: a, b = old address and port; c, d = new; e = who (vnet/translations.ts Via) * 2,
   * + 1 for the destination.
   */
  VNET_NAT: 20,
} as const;
export type NoteKind = (typeof NoteKind)[keyof typeof NoteKind];

/** Bytes of the frame kept with each note. */
export const NOTE_BYTES = 96;

export class Notes {
  /** When true, a note is written for every stage and decision. */
  stages = false;
  count = 0;
  time = new Float64Array(256);
  packet = new Float64Array(256);
  kind = new Uint8Array(256);
  ns = new Int32Array(256);
  dev = new Int32Array(256);
  a = new Int32Array(256);
  b = new Int32Array(256);
  c = new Int32Array(256);
  d = new Int32Array(256);
  e = new Int32Array(256);
  /** Next note of the same frame that a capture has not shown yet; -1 ends. */
  next = new Int32Array(256);
  /** The first bytes of the frame from its MAC header on, and how many. */
  bytes = new Uint8Array(256 * NOTE_BYTES);
  byteCount = new Uint8Array(256);
  frameLen = new Int32Array(256);

  add(time: number, packet: number, kind: number, ns: number, dev: number): number {
    const i = this.count++;
    if (i === this.time.length) this.grow();
    this.time[i] = time;
    this.packet[i] = packet;
    this.kind[i] = kind;
    this.ns[i] = ns;
    this.dev[i] = dev;
    this.next[i] = -1;
    return i;
  }

  clear(): void {
    this.count = 0;
  }

  private grow(): void {
    const n = this.time.length * 2;
    this.time = growF64(this.time, n);
    this.packet = growF64(this.packet, n);
    const kind = new Uint8Array(n);
    kind.set(this.kind);
    this.kind = kind;
    this.ns = growI32(this.ns, n);
    this.dev = growI32(this.dev, n);
    this.a = growI32(this.a, n);
    this.b = growI32(this.b, n);
    this.c = growI32(this.c, n);
    this.d = growI32(this.d, n);
    this.e = growI32(this.e, n);
    this.next = growI32(this.next, n);
    const bytes = new Uint8Array(n * NOTE_BYTES);
    bytes.set(this.bytes);
    this.bytes = bytes;
    const byteCount = new Uint8Array(n);
    byteCount.set(this.byteCount);
    this.byteCount = byteCount;
    this.frameLen = growI32(this.frameLen, n);
  }
}
