// MAC addresses of NICs: under the prefixes seen on Azure (V19), from a counter, never twice and never at
// random. Microsoft's rule behind the lower half is not public; a multiplication spreads neighbours apart.

const PREFIXES: readonly number[] = [0x000d3a, 0x002248, 0x6045bd];
const SPREAD = 0x9e3779;

/** Upper 16 bits of the n-th MAC. */
export function nicMacHi(n: number): number {
  return PREFIXES[n % PREFIXES.length] >>> 8;
}

/** Lower 32 bits of the n-th MAC. An odd factor maps the 24 low bits one to one. */
export function nicMacLo(n: number): number {
  const low = Math.imul(Math.floor(n / PREFIXES.length) + 1, SPREAD) & 0xffffff;
  return ((PREFIXES[n % PREFIXES.length] & 0xff) << 24) | low;
}
