// Addresses as numbers and as text. Inside, an IPv4 address is an int32 (its big-endian value) and a MAC a
// pair of upper 16 and lower 32 bits (uint16, int32). Text is for the edge: parsing goes through the
// ip-address package and answers undefined for anything that is not exactly one address. Classes follow
// include/linux/in.h. Absent: IPv6 (frames of it are carried by ethertype only).

import { Address4 } from "ip-address";

export interface Mac {
  readonly hi: number;
  readonly lo: number;
}

export interface Cidr {
  /** The address as written, host bits included. */
  readonly address: number;
  readonly network: number;
  readonly prefix: number;
  readonly mask: number;
}

/** Strict dotted quad: four decimal numbers, no leading zeros, no prefix. */
export function parseIpv4(text: string): number | undefined {
  if (!/^(?:0|[1-9]\d{0,2})(?:\.(?:0|[1-9]\d{0,2})){3}$/.test(text)) return undefined;
  if (!Address4.isValid(text)) return undefined;
  const bytes = new Address4(text).toArray();
  return (bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!;
}

/** Address and prefix length, both required: "10.224.0.0/12". */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([^/]*)\/(0|[1-9]\d?)$/.exec(text);
  if (match === null) return undefined;
  const address = parseIpv4(match[1]!);
  const prefix = Number(match[2]);
  if (address === undefined || prefix > 32) return undefined;
  const mask = maskOf(prefix);
  return { address, network: address & mask, prefix, mask };
}

/** Six hexadecimal pairs with colons or hyphens. */
export function parseMac(text: string): Mac | undefined {
  if (!/^[0-9a-f]{2}([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}$/i.test(text)) return undefined;
  const digits = text.replace(/[:-]/g, "");
  return { hi: Number.parseInt(digits.slice(0, 4), 16), lo: Number.parseInt(digits.slice(4), 16) | 0 };
}

export function formatIpv4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 0xff}.${(address >>> 8) & 0xff}.${address & 0xff}`;
}

export function formatCidr(network: number, prefix: number): string {
  return `${formatIpv4(network)}/${prefix}`;
}

export function formatMac(hi: number, lo: number): string {
  const digits = hi.toString(16).padStart(4, "0") + (lo >>> 0).toString(16).padStart(8, "0");
  return digits.replace(/..(?=.)/g, "$&:");
}

/** Netmask of a prefix length, as int32. */
export const maskOf = (prefix: number): number => (prefix === 0 ? 0 : -1 << (32 - prefix));

export const ipv4IsMulticast = (a: number): boolean => a >>> 28 === 0xe;
export const ipv4IsLoopback = (a: number): boolean => a >>> 24 === 127;
/** ipv4_is_zeronet: since Linux 5.3 only 0.0.0.0 itself, the rest of 0/8 is like any other address. */
export const ipv4IsZeronet = (a: number): boolean => a === 0;
export const ipv4IsLimitedBroadcast = (a: number): boolean => a === -1;
export const ipv4IsLinkLocal = (a: number): boolean => a >>> 16 === 0xa9fe;
