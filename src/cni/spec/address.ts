// Addresses in CNI's JSON, which may be IPv4 or IPv6: what is one, and of which family. IPv4 text is judged
// by wire/; IPv6 is only recognised and carried, never wired.

import { parseCidr, parseIpv4 } from "../../wire/address.ts";

/** 4, 6, or 0 when the text is no address. */
export function familyOf(text: string): 0 | 4 | 6 {
  if (parseIpv4(text) !== undefined) return 4;
  return isIpv6(text) ? 6 : 0;
}

/** 4, 6, or 0 when the text is no "address/length". */
export function familyOfCidr(text: string): 0 | 4 | 6 {
  if (parseCidr(text) !== undefined) return 4;
  const slash = text.lastIndexOf("/");
  if (slash < 0 || !/^(?:0|[1-9]\d{0,2})$/.test(text.slice(slash + 1))) return 0;
  return Number(text.slice(slash + 1)) <= 128 && isIpv6(text.slice(0, slash)) ? 6 : 0;
}

/**
 * RFC 4291 2.2: eight groups, one run of zeros as "::", perhaps an IPv4 address in place of the last two
 * groups.
 */
function isIpv6(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) return false;
  let groups = 0;
  for (const [h, half] of halves.entries()) {
    if (half === "") continue;
    const parts = half.split(":");
    for (const [i, part] of parts.entries()) {
      const last = h === halves.length - 1 && i === parts.length - 1;
      if (last && part.includes(".") && parseIpv4(part) !== undefined) groups += 2;
      else if (/^[0-9a-f]{1,4}$/i.test(part)) groups++;
      else return false;
    }
  }
  return halves.length === 2 ? groups < 8 : groups === 8;
}
