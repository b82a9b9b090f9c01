// A batch of UDP packets as sendmmsg() wants them, in native memory: struct mmsghdr, struct iovec and the
// packet of each. Between two batches only ports and checksums change.

import { octets } from "./address.ts";
import type { Libc, NativeMemory } from "./libc.ts";

const MMSGHDR = 64;
const MSG_IOV = 16;
const MSG_IOVLEN = 24;
const IOVEC = 16;
const ROOM = 1536;
const IPV4 = 20;
const UDP = 8;
const PROTO_UDP = 17;
/** Ethernet's header and checksum. */
const ETHERNET = 18;
const DF = 0x4000;

export class PacketBatch {
  readonly messages: bigint;
  private readonly memory: NativeMemory;
  private readonly count: number;
  private readonly packets: number;
  /** Sum of everything UDP's checksum covers but the source port. */
  private readonly sum: number;

  /** @param frameBytes of the Ethernet frame with its checksum */
  constructor(libc: Libc, count: number, from: string, to: string, port: number, frameBytes: number) {
    const length = frameBytes - ETHERNET;
    this.count = count;
    this.packets = count * (MMSGHDR + IOVEC);
    this.memory = libc.allocate(this.packets + count * ROOM);
    this.messages = this.memory.address;
    const { address, bytes } = this.memory;
    for (let i = 0; i < count; i++) {
      const iovec = count * MMSGHDR + i * IOVEC;
      bytes.writeBigUInt64LE(address + BigInt(iovec), i * MMSGHDR + MSG_IOV);
      bytes.writeBigUInt64LE(1n, i * MMSGHDR + MSG_IOVLEN);
      bytes.writeBigUInt64LE(address + BigInt(this.at(i)), iovec);
      bytes.writeBigUInt64LE(BigInt(length), iovec + 8);
      this.fill(this.at(i), from, to, port, length);
    }
    this.sum = this.pseudoSum(this.at(0), length);
  }

  /** Source ports of the batch: `first` and on, from `firstPort` again after `ports` of them. */
  aim(firstPort: number, first: number, ports: number): void {
    const { bytes } = this.memory;
    for (let i = 0, n = first; i < this.count; i++, n++) {
      if (n === ports) n = 0;
      const udp = this.at(i) + IPV4;
      const port = firstPort + n;
      bytes.writeUInt16BE(port, udp);
      let sum = this.sum + port;
      sum = (sum & 0xffff) + (sum >>> 16);
      sum = ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;
      bytes.writeUInt16BE(sum === 0 ? 0xffff : sum, udp + 6);
    }
  }

  private at(i: number): number {
    return this.packets + i * ROOM;
  }

  /** The kernel itself writes the header's length and checksum. */
  private fill(o: number, from: string, to: string, port: number, length: number): void {
    const { bytes } = this.memory;
    bytes[o] = 0x45;
    bytes.writeUInt16BE(1, o + 4);
    bytes.writeUInt16BE(DF, o + 6);
    bytes[o + 8] = 64;
    bytes[o + 9] = PROTO_UDP;
    bytes.set(octets(from), o + 12);
    bytes.set(octets(to), o + 16);
    bytes.writeUInt16BE(port, o + IPV4 + 2);
    bytes.writeUInt16BE(length - IPV4, o + IPV4 + 4);
    for (let i = IPV4 + UDP; i < length; i++) bytes[o + i] = i & 0xff;
  }

  private pseudoSum(o: number, length: number): number {
    const { bytes } = this.memory;
    let sum = PROTO_UDP + (length - IPV4);
    // Behind the packet is zeroed room, so an odd length needs no care.
    for (let i = 12; i < length; i += 2) sum += bytes.readUInt16BE(o + i);
    return (sum & 0xffff) + (sum >>> 16);
  }
}
