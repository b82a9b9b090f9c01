// Reads pcapng as its draft says, without the writer's code. Throws on anything out of place.

export interface ReadInterface {
  name: string;
  description: string;
  mac: string | undefined;
  tsresol: number;
}

export interface ReadPacket {
  iface: number;
  time: bigint;
  direction: number;
  bytes: Uint8Array;
  comments: string[];
}

export interface ReadFile {
  application: string;
  comment: string;
  interfaces: ReadInterface[];
  packets: ReadPacket[];
}

type Options = Map<number, Uint8Array[]>;

const decoder = new TextDecoder("utf-8", { fatal: true });

export function readPcapng(bytes: Uint8Array): ReadFile {
  // A Buffer would slice without copying.
  const file = Uint8Array.from(bytes);
  const v = new DataView(file.buffer);
  const out: ReadFile = { application: "", comment: "", interfaces: [], packets: [] };
  let at = 0;
  while (at < file.length) {
    const type = v.getUint32(at, true);
    const length = v.getUint32(at + 4, true);
    if (length % 4 !== 0 || v.getUint32(at + length - 4, true) !== length) throw new Error(`length at ${at}`);
    const body = { v, file, at: at + 8, end: at + length - 4 };
    if (at === 0) readSection(out, type, body);
    else if (type === 1) out.interfaces.push(readInterface(body));
    else if (type === 6) out.packets.push(readPacket(body, out.interfaces.length));
    else throw new Error(`block type ${type} at ${at}`);
    at += length;
  }
  return out;
}

interface Body {
  v: DataView;
  file: Uint8Array;
  at: number;
  end: number;
}

function readSection(out: ReadFile, type: number, b: Body): void {
  if (type !== 0x0a0d0d0a || b.v.getUint32(b.at, true) !== 0x1a2b3c4d) throw new Error("no section header");
  if (b.v.getUint32(b.at + 4, true) !== 1) throw new Error("version");
  if (b.v.getBigInt64(b.at + 8, true) !== -1n) throw new Error("section length");
  const options = readOptions(b, b.at + 16);
  out.application = text(options, 4);
  out.comment = text(options, 1);
}

function readInterface(b: Body): ReadInterface {
  if (b.v.getUint16(b.at, true) !== 1) throw new Error("not Ethernet");
  const options = readOptions(b, b.at + 8);
  const mac = options.get(6)?.[0];
  return {
    name: text(options, 2),
    description: text(options, 3),
    mac:
      mac === undefined
        ? undefined
        : Buffer.from(mac)
            .toString("hex")
            .replace(/..(?=.)/g, "$&:"),
    tsresol: options.get(9)?.[0]?.[0] ?? 6,
  };
}

function readPacket(b: Body, interfaces: number): ReadPacket {
  const iface = b.v.getUint32(b.at, true);
  if (iface >= interfaces) throw new Error("a packet before its interface");
  const high = BigInt(b.v.getUint32(b.at + 4, true));
  const time = (high << 32n) | BigInt(b.v.getUint32(b.at + 8, true));
  const captured = b.v.getUint32(b.at + 12, true);
  if (captured !== b.v.getUint32(b.at + 16, true)) throw new Error("a cut packet");
  const start = b.at + 20;
  const options = readOptions(b, start + ((captured + 3) & ~3));
  const flags = options.get(2)?.[0];
  const direction = flags === undefined ? 0 : new DataView(flags.buffer).getUint32(0, true);
  const comments = (options.get(1) ?? []).map((bytes) => decoder.decode(bytes));
  return { iface, time, direction, bytes: b.file.slice(start, start + captured), comments };
}

function readOptions(b: Body, from: number): Options {
  const options: Options = new Map();
  let at = from;
  for (;;) {
    const code = b.v.getUint16(at, true);
    const length = b.v.getUint16(at + 2, true);
    if (code === 0) {
      if (length !== 0 || at + 4 !== b.end) throw new Error("end of options");
      return options;
    }
    const list = options.get(code) ?? [];
    list.push(b.file.slice(at + 4, at + 4 + length));
    options.set(code, list);
    at += 4 + ((length + 3) & ~3);
    if (at >= b.end) throw new Error("options run over their block");
  }
}

function text(options: Options, code: number): string {
  const value = options.get(code)?.[0];
  return value === undefined ? "" : decoder.decode(value);
}
