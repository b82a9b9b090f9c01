// Blocks of a pcapng file (draft-ietf-opsawg-pcapng), little-endian. Absent: name resolution, statistics,
// secrets and systemd journal blocks, Simple Packet Blocks.

const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
const ENHANCED_PACKET = 6;
const LINKTYPE_ETHERNET = 1;

const OPT_END = 0;
const OPT_COMMENT = 1;
const SHB_USERAPPL = 4;
const IF_NAME = 2;
const IF_DESCRIPTION = 3;
const IF_MACADDR = 6;
const IF_TSRESOL = 9;
const EPB_FLAGS = 2;
/** The longest value of an option. */
const OPTION_BYTES = 0xffff;

export interface InterfaceBlock {
  name: string;
  description: string;
  /** Undefined when the device is gone. */
  mac?: { hi: number; lo: number };
}

export interface PacketBlock {
  iface: number;
  /** Nanoseconds. */
  time: number;
  /** 1 inbound, 2 outbound. */
  direction: number;
  comments: readonly string[];
}

/** Bytes that grow. */
export class BlockBuffer {
  private bytes = new Uint8Array(4096);
  private view = new DataView(this.bytes.buffer);
  private used = 0;
  private readonly encoder = new TextEncoder();

  /** Hands over what was written and starts anew. */
  take(): Uint8Array {
    const out = this.bytes.slice(0, this.used);
    this.used = 0;
    return out;
  }

  get size(): number {
    return this.used;
  }

  sectionHeader(application: string, comment: string): void {
    const start = this.begin(SECTION_HEADER);
    this.u32(BYTE_ORDER_MAGIC);
    this.u16(1);
    this.u16(0);
    // Section length: not given.
    this.u32(0xffffffff);
    this.u32(0xffffffff);
    this.text(OPT_COMMENT, comment);
    this.text(SHB_USERAPPL, application);
    this.finish(start);
  }

  interfaceDescription(block: InterfaceBlock): void {
    const start = this.begin(INTERFACE_DESCRIPTION);
    this.u16(LINKTYPE_ETHERNET);
    this.u16(0);
    // Snapshot length: frames are whole.
    this.u32(0);
    this.text(IF_NAME, block.name);
    if (block.description !== "") this.text(IF_DESCRIPTION, block.description);
    if (block.mac !== undefined) {
      this.option(IF_MACADDR, 6);
      this.view.setUint16(this.used, block.mac.hi);
      this.view.setInt32(this.used + 2, block.mac.lo);
      this.used += 6;
      this.pad();
    }
    this.option(IF_TSRESOL, 1);
    this.bytes[this.used++] = 9;
    this.pad();
    this.finish(start);
  }

  enhancedPacket(block: PacketBlock, frame: Uint8Array, o: number, length: number): void {
    const start = this.begin(ENHANCED_PACKET);
    this.u32(block.iface);
    this.u32(Math.floor(block.time / 0x1_0000_0000));
    this.u32(block.time % 0x1_0000_0000);
    this.u32(length);
    this.u32(length);
    this.room(length + 4);
    this.bytes.set(frame.subarray(o, o + length), this.used);
    this.used += length;
    this.pad();
    this.option(EPB_FLAGS, 4);
    this.u32(block.direction);
    for (const comment of block.comments) this.text(OPT_COMMENT, comment);
    this.finish(start);
  }

  private begin(type: number): number {
    const start = this.used;
    this.u32(type);
    this.u32(0);
    return start;
  }

  /** The end-of-options mark and the length, which stands at both ends of a block. */
  private finish(start: number): void {
    this.option(OPT_END, 0);
    const length = this.used + 4 - start;
    this.u32(length);
    this.view.setUint32(start + 4, length, true);
  }

  private text(code: number, text: string): void {
    const value = this.encoder.encode(text).subarray(0, OPTION_BYTES);
    this.option(code, value.length);
    this.bytes.set(value, this.used);
    this.used += value.length;
    this.pad();
  }

  private option(code: number, length: number): void {
    this.room(length + 8);
    this.u16(code);
    this.u16(length);
  }

  private pad(): void {
    this.room(4);
    while (this.used & 3) this.bytes[this.used++] = 0;
  }

  private u16(value: number): void {
    this.room(2);
    this.view.setUint16(this.used, value, true);
    this.used += 2;
  }

  private u32(value: number): void {
    this.room(4);
    this.view.setUint32(this.used, value, true);
    this.used += 4;
  }

  private room(bytes: number): void {
    let size = this.bytes.length;
    if (this.used + bytes <= size) return;
    while (this.used + bytes > size) size *= 2;
    const wider = new Uint8Array(size);
    wider.set(this.bytes);
    this.bytes = wider;
    this.view = new DataView(wider.buffer);
  }
}
