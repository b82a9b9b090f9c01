// AF_PACKET sockets: one that sees every frame of a namespace in both directions, and small ones that
// transmit out of one device. No promiscuous mode anywhere: on a bridge it would change what the bridge
// delivers.
//
// The capture reads a ring that the kernel copies each frame into at once (TPACKET_V2). A plain packet socket
// would keep a clone of the frame until it is read, and that is not harmless: ip_do_fragment() takes another
// way for a cloned datagram, and the clone of a fragment shows what is written into it later.

import {
  AF_PACKET,
  bind,
  closeLater,
  enterNetwork,
  getOption,
  mapShared,
  type NativeMemory,
  SOCK_RAW,
  SOL_PACKET,
  send,
  setOption,
  socket,
  unmap,
} from "./libc.ts";

const ETH_P_ALL = 0x0003;
const PACKET_RX_RING = 5;
const PACKET_STATISTICS = 6;
const PACKET_VERSION = 10;
const TPACKET_V2 = 1;
const PACKET_OUTGOING = 4;
const TP_STATUS_KERNEL = 0;
const TP_STATUS_USER = 1;
const TP_STATUS_VLAN_VALID = 1 << 4;
const TP_STATUS_VLAN_TPID_VALID = 1 << 6;

export interface RawFrame {
  deviceIndex: number;
  direction: "in" | "out";
  /** Nanoseconds since the epoch, as the kernel stamped it; for people measuring timers. */
  time: bigint;
  bytes: Uint8Array;
}

/** sockaddr_ll for a device; protocol in network byte order. */
function linkAddress(index: number, protocol: number): Uint8Array {
  const a = new Uint8Array(20);
  const v = new DataView(a.buffer);
  v.setUint16(0, AF_PACKET, true);
  v.setUint16(2, protocol, false);
  v.setInt32(4, index, true);
  return a;
}

/** One slot holds the longest frame a case sends, with struct tpacket2_hdr and sockaddr_ll before it. */
const SLOT = 16_384;
const SLOTS = 512;
/** sockaddr_ll behind the 32 bytes of tpacket2_hdr: where the device and the packet type are. */
const INDEX_AT = 36;
const TYPE_AT = 42;

/** Puts back the 802.1Q tag the kernel lifts out of the frame before taps see it. */
function withTag(bytes: Uint8Array, tpid: number, tci: number): Uint8Array {
  const out = new Uint8Array(bytes.length + 4);
  out.set(bytes.slice(0, 12), 0);
  out.set([tpid >> 8, tpid & 255, tci >> 8, tci & 255], 12);
  out.set(bytes.slice(12), 16);
  return out;
}

/** struct tpacket2_hdr: status, len, snaplen, mac, net, sec, nsec, vlan_tci, vlan_tpid. */
function decode(m: Buffer, o: number): RawFrame {
  const status = m.readUInt32LE(o);
  const length = m.readUInt32LE(o + 4);
  if (m.readUInt32LE(o + 8) !== length) throw new Error(`a frame of ${length} bytes is too long to capture`);
  const start = o + m.readUInt16LE(o + 12);
  let bytes: Uint8Array = Uint8Array.from(m.subarray(start, start + length));
  if (status & TP_STATUS_VLAN_VALID) {
    const tpid = status & TP_STATUS_VLAN_TPID_VALID ? m.readUInt16LE(o + 26) : 0x8100;
    bytes = withTag(bytes, tpid, m.readUInt16LE(o + 24));
  }
  return {
    deviceIndex: m.readInt32LE(o + INDEX_AT),
    direction: m[o + TYPE_AT] === PACKET_OUTGOING ? "out" : "in",
    time: BigInt(m.readUInt32LE(o + 16)) * 1_000_000_000n + BigInt(m.readUInt32LE(o + 20)),
    bytes,
  };
}

export class CaptureSocket {
  readonly #fd: number;
  readonly #ring: NativeMemory;
  #next = 0;

  /** Sees every device of the namespace, also those that appear later. */
  constructor(namespace: number) {
    enterNetwork(namespace);
    this.#fd = socket(AF_PACKET, SOCK_RAW, 0);
    setOption(this.#fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
    // struct tpacket_req: one slot is one block.
    setOption(this.#fd, SOL_PACKET, PACKET_RX_RING, SLOT, SLOTS, SLOT, SLOTS);
    this.#ring = mapShared(this.#fd, SLOT * SLOTS);
    bind(this.#fd, linkAddress(0, ETH_P_ALL));
  }

  /** Everything captured since the last call, in order. */
  drain(into: RawFrame[]): void {
    const { bytes } = this.#ring;
    for (;;) {
      const o = this.#next * SLOT;
      if (!(bytes.readUInt32LE(o) & TP_STATUS_USER)) break;
      into.push(decode(bytes, o));
      bytes.writeUInt32LE(TP_STATUS_KERNEL, o);
      this.#next = (this.#next + 1) % SLOTS;
    }
  }

  /** Throws when the ring was full at some time since the last call. */
  assertNothingLost(): void {
    // struct tpacket_stats, cleared by reading: packets, drops.
    const lost = getOption(this.#fd, SOL_PACKET, PACKET_STATISTICS, 8).readUInt32LE(4);
    if (lost > 0) throw new Error(`${lost} frames found no room in the capture ring`);
  }

  close(): void {
    unmap(this.#ring);
    closeLater(this.#fd);
  }
}

export class TransmitSocket {
  readonly #fd: number;

  constructor(namespace: number, index: number) {
    enterNetwork(namespace);
    this.#fd = socket(AF_PACKET, SOCK_RAW, 0); // protocol 0: receives nothing
    bind(this.#fd, linkAddress(index, 0));
  }

  /** 0, or the errno: ENETDOWN when the device is down, EMSGSIZE beyond its MTU. */
  send(frame: Uint8Array): number {
    return send(this.#fd, frame);
  }

  close(): void {
    closeLater(this.#fd);
  }
}
