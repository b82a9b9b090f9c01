// AF_PACKET sockets: one that sees every frame of a namespace in both directions, and small ones that
// transmit out of one device. No promiscuous mode anywhere: on a bridge it would change what the bridge
// delivers.

import {
  AF_PACKET,
  allocate,
  bind,
  close,
  enterNetwork,
  type NativeMemory,
  receiveMany,
  SOCK_RAW,
  SOL_PACKET,
  SOL_SOCKET,
  send,
  setOption,
  socket,
} from "./libc.ts";

const ETH_P_ALL = 0x0003;
const SO_RCVBUFFORCE = 33;
const SO_TIMESTAMPNS = 35;
const PACKET_AUXDATA = 8;
const RECEIVE_BUFFER = 64 << 20;
const PACKET_OUTGOING = 4;
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

// One set of recvmmsg structures serves every socket of the thread, since a batch is copied out before the
// next call.
const BATCH = 64;
const FRAME_MAX = 10_240;
const ADDRESS_LEN = 32;
const CONTROL_LEN = 128;
const MMSGHDR_LEN = 64;
const OFFSET = {
  iov: BATCH * MMSGHDR_LEN,
  address: BATCH * (MMSGHDR_LEN + 16),
  control: BATCH * (MMSGHDR_LEN + 16 + ADDRESS_LEN),
  frame: BATCH * (MMSGHDR_LEN + 16 + ADDRESS_LEN + CONTROL_LEN),
};
let batch: NativeMemory | null = null;

function receiveBatch(): NativeMemory {
  if (batch !== null) return batch;
  const m = allocate(OFFSET.frame + BATCH * FRAME_MAX);
  const at = (offset: number): bigint => m.address + BigInt(offset);
  for (let i = 0; i < BATCH; i++) {
    const iov = OFFSET.iov + i * 16;
    m.bytes.writeBigUInt64LE(at(OFFSET.frame + i * FRAME_MAX), iov);
    m.bytes.writeBigUInt64LE(BigInt(FRAME_MAX), iov + 8);
    // struct mmsghdr: name, namelen, iov, iovlen, control, controllen, flags, then the length received.
    const h = i * MMSGHDR_LEN;
    m.bytes.writeBigUInt64LE(at(OFFSET.address + i * ADDRESS_LEN), h);
    m.bytes.writeBigUInt64LE(at(iov), h + 16);
    m.bytes.writeBigUInt64LE(1n, h + 24);
    m.bytes.writeBigUInt64LE(at(OFFSET.control + i * CONTROL_LEN), h + 32);
  }
  batch = m;
  return m;
}

/** Puts back the 802.1Q tag the kernel lifts out of the frame before taps see it. */
function withTag(bytes: Uint8Array, tpid: number, tci: number): Uint8Array {
  const out = new Uint8Array(bytes.length + 4);
  out.set(bytes.slice(0, 12), 0);
  out.set([tpid >> 8, tpid & 255, tci >> 8, tci & 255], 12);
  out.set(bytes.slice(12), 16);
  return out;
}

function decode(m: Buffer, i: number): RawFrame {
  const length = m.readUInt32LE(i * MMSGHDR_LEN + 56);
  const start = OFFSET.frame + i * FRAME_MAX;
  let bytes: Uint8Array = new Uint8Array(m.buffer.slice(start, start + length));
  const a = OFFSET.address + i * ADDRESS_LEN;
  let time = 0n;
  let c = OFFSET.control + i * CONTROL_LEN;
  const end = c + Number(m.readBigUInt64LE(i * MMSGHDR_LEN + 40));
  while (c + 16 <= end) {
    const len = Number(m.readBigUInt64LE(c));
    const level = m.readInt32LE(c + 8);
    const type = m.readInt32LE(c + 12);
    if (level === SOL_SOCKET && type === SO_TIMESTAMPNS) {
      time = m.readBigInt64LE(c + 16) * 1_000_000_000n + m.readBigInt64LE(c + 24);
    } else if (level === SOL_PACKET && type === PACKET_AUXDATA) {
      const status = m.readUInt32LE(c + 16);
      if (status & TP_STATUS_VLAN_VALID) {
        const tpid = status & TP_STATUS_VLAN_TPID_VALID ? m.readUInt16LE(c + 34) : 0x8100;
        bytes = withTag(bytes, tpid, m.readUInt16LE(c + 32));
      }
    }
    c += (len + 7) & ~7;
  }
  return {
    deviceIndex: m.readInt32LE(a + 4),
    direction: m[a + 10] === PACKET_OUTGOING ? "out" : "in",
    time,
    bytes,
  };
}

export class CaptureSocket {
  readonly #fd: number;

  /** Sees every device of the namespace, also those that appear later. */
  constructor(namespace: number) {
    enterNetwork(namespace);
    this.#fd = socket(AF_PACKET, SOCK_RAW, 0);
    setOption(this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
    setOption(this.#fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    setOption(this.#fd, SOL_PACKET, PACKET_AUXDATA, 1);
    bind(this.#fd, linkAddress(0, ETH_P_ALL));
  }

  /** Everything captured since the last call, in order. */
  drain(into: RawFrame[]): void {
    const m = receiveBatch();
    for (;;) {
      for (let i = 0; i < BATCH; i++) {
        m.bytes.writeUInt32LE(ADDRESS_LEN, i * MMSGHDR_LEN + 8);
        m.bytes.writeBigUInt64LE(BigInt(CONTROL_LEN), i * MMSGHDR_LEN + 40);
      }
      const n = receiveMany(this.#fd, m.address, BATCH);
      for (let i = 0; i < n; i++) into.push(decode(m.bytes, i));
      if (n < BATCH) return;
    }
  }

  close(): void {
    close(this.#fd);
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
    close(this.#fd);
  }
}
