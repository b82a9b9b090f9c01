// One line that says what a frame is: addresses by the names the case gives them, the fields cases are
// about, and BAD for every checksum that is wrong.

import { FABRIC_MAC, hostDevice, type NodeCase, nicDevice } from "./case.ts";
import { checksum } from "./frame.ts";
import type { Hidden } from "./masks.ts";

/** MAC to name; a MAC two things share gets the first one's name. */
export function macNames(c: NodeCase): Map<string, string> {
  const names = new Map<string, string>([["ff:ff:ff:ff:ff:ff", "all"]]);
  const name = (mac: string | undefined, as: string): void => {
    if (mac !== undefined && !names.has(mac)) names.set(mac, as);
  };
  const added = c.steps
    .flatMap((s) => s.change ?? [])
    .flatMap((ch) => (ch.kind === "add-pod" ? [ch.pod] : []));
  name(c.node.bridge?.mac, c.node.bridge?.device ?? "");
  name(c.node.nic.mac, nicDevice(c.node));
  for (const p of [...c.node.pods, ...added]) {
    name(p.mac, p.name);
    name(p.hostMac, hostDevice(c.node, p));
  }
  name(c.node.fabric?.arp ?? FABRIC_MAC, "fabric");
  return names;
}

const ICMP_NAMES: { [type: number]: string } = {
  0: "echo-reply",
  3: "unreachable",
  5: "redirect",
  8: "echo",
  11: "time-exceeded",
  13: "timestamp",
  14: "timestamp-reply",
};

const TCP_LETTERS = "FSRPAUEC";

export function frameLine(frame: Buffer, names: Map<string, string>, hidden: Hidden): string {
  if (frame.length < 14) return `cut short, ${frame.length} bytes`;
  const mac = (o: number): string => {
    const text = [...frame.subarray(o, o + 6)].map((b) => b.toString(16).padStart(2, "0")).join(":");
    return names.get(text) ?? text;
  };
  const type = frame.readUInt16BE(12);
  const macs = `${mac(6)}>${mac(0)}`;
  if (type === 0x0806 && frame.length >= 42) return `${macs} ${arpText(frame, mac)}`;
  if (type === 0x0800 && frame.length >= 34)
    return `${macs} ${ipText(frame, 14, frame.length, hidden, true)}`;
  return `${macs} ethertype ${type.toString(16).padStart(4, "0")} ${frame.length - 14} bytes`;
}

function arpText(f: Buffer, mac: (o: number) => string): string {
  const op = f.readUInt16BE(20);
  if (op === 1) return `ARP who-has ${ip(f, 38)} tell ${ip(f, 28)} at ${mac(22)}`;
  if (op === 2) return `ARP ${ip(f, 28)} is-at ${mac(22)} to ${ip(f, 38)} at ${mac(32)}`;
  return `ARP op ${op}`;
}

function ip(f: Buffer, o: number): string {
  return f.length < o + 4 ? "?" : `${f[o]}.${f[o + 1]}.${f[o + 2]}.${f[o + 3]}`;
}

function ipText(f: Buffer, at: number, end: number, hidden: Hidden, outer: boolean): string {
  const head = (f[at]! & 15) * 4;
  const total = f.readUInt16BE(at + 2);
  const flags = f.readUInt16BE(at + 6);
  const offset = (flags & 0x1fff) * 8;
  const proto = f[at + 9]!;
  const stop = Math.min(end, at + total);
  const words: string[] = [];
  const l4 = at + head;
  const ports = offset === 0 && (proto === 6 || proto === 17) && stop >= l4 + 4;
  const port = (o: number): string => (ports ? `:${hidden.portNames.get(o) ?? f.readUInt16BE(o)}` : "");
  words.push(`${ip(f, at + 12)}${port(l4)} > ${ip(f, at + 16)}${port(l4 + 2)}`);
  words.push(`ttl ${f[at + 8]} id ${(outer ? hidden.ipId : hidden.innerId) ? "*" : f.readUInt16BE(at + 4)}`);
  if (f[at + 1] !== 0) words.push(`tos 0x${f[at + 1]!.toString(16)}`);
  if (flags & 0x4000) words.push("DF");
  if (flags & 0x3fff & ~0x4000) words.push(`frag ${offset}${flags & 0x2000 ? "+" : ""}`);
  if (f[at]! >> 4 !== 4 || head < 20) words.push(`version/ihl ${f[at]!.toString(16)}`);
  else if (l4 <= end && checksum([...f.subarray(at, l4)]) !== 0) words.push("ipsum BAD");
  if (total !== end - at && outer) words.push(`total ${total} of ${end - at}`);
  if (offset !== 0) words.push(`${stop - l4} bytes`);
  else words.push(transportText(f, at, l4, stop, hidden, outer, (flags & 0x2000) === 0));
  return words.join(" ");
}

/** `whole`: the payload is complete, so its checksum can be verified. */
function transportText(
  f: Buffer,
  at: number,
  l4: number,
  stop: number,
  hidden: Hidden,
  outer: boolean,
  whole: boolean,
): string {
  const proto = f[at + 9]!;
  const length = stop - l4;
  const bad = (): string => (whole && outer && !sumRight(f, at, l4, stop) ? " sum BAD" : "");
  if (proto === 17 && length >= 8) {
    const none = f.readUInt16BE(l4 + 6) === 0 ? " sum none" : "";
    return `UDP ${f.readUInt16BE(l4 + 4) - 8} bytes${none === "" ? bad() : none}`;
  }
  if (proto === 6 && length >= 8) return tcpText(f, l4, stop, hidden) + bad();
  if (proto === 1 && length >= 8) return icmpText(f, l4, stop, hidden) + bad();
  return `proto ${proto} ${length} bytes`;
}

function sumRight(f: Buffer, at: number, l4: number, stop: number): boolean {
  const proto = f[at + 9]!;
  const bytes = [...f.subarray(l4, stop)];
  if (proto === 1) return checksum(bytes) === 0;
  const length = proto === 17 ? f.readUInt16BE(l4 + 4) : bytes.length;
  if (length > bytes.length) return false;
  const pseudo = [...f.subarray(at + 12, at + 20), 0, proto, length >> 8, length & 255];
  return checksum(bytes.slice(0, length), ~checksum(pseudo) & 0xffff) === 0;
}

function tcpText(f: Buffer, l4: number, stop: number, hidden: Hidden): string {
  if (stop < l4 + 20) return `TCP seq ${f.readUInt32BE(l4 + 4)}`;
  const bits = f[l4 + 13]!;
  const letters = [...TCP_LETTERS].filter((_, i) => bits & (1 << i)).join("") || "none";
  const seq = hidden.sequence ? "*" : f.readUInt32BE(l4 + 4);
  const data = stop - l4 - (f[l4 + 12]! >> 4) * 4;
  const [ack, window] = [f.readUInt32BE(l4 + 8), f.readUInt16BE(l4 + 14)];
  return `TCP ${letters} seq ${seq} ack ${ack} win ${window} ${data} bytes`;
}

function icmpText(f: Buffer, l4: number, stop: number, hidden: Hidden): string {
  const type = f[l4]!;
  const kind = `ICMP ${ICMP_NAMES[type] ?? type}`;
  if ([0, 8, 13, 14].includes(type)) {
    const id = hidden.portNames.get(l4 + 4) ?? f.readUInt16BE(l4 + 4);
    return `${kind} id ${id} seq ${f.readUInt16BE(l4 + 6)} ${stop - l4 - 8} bytes`;
  }
  const code = `${kind} code ${f[l4 + 1]}`;
  const word =
    type === 3 && f[l4 + 1] === 4
      ? ` mtu ${f.readUInt16BE(l4 + 6)}`
      : type === 5
        ? ` to ${ip(f, l4 + 4)}`
        : "";
  const inner = l4 + 8;
  if (stop < inner + 20) return `${code}${word} ${stop - inner} bytes`;
  return `${code}${word} [${ipText(f, inner, stop, hidden, false)}]`;
}
