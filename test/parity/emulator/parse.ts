// Text of a case to the numbers the emulator's tables hold.

import { type Cidr, type Mac, parseCidr, parseIpv4, parseMac } from "../../../src/wire/address.ts";

function known<T>(value: T | undefined, text: string): T {
  if (value === undefined) throw new Error(`not an address: ${text}`);
  return value;
}

export const address = (text: string): number => known(parseIpv4(text), text);
export const cidr = (text: string): Cidr => known(parseCidr(text), text);
export const mac = (text: string): Mac => known(parseMac(text), text);
