// Hexadecimal text of 32-bit words, from a table: names are made for every pod while a network is built.

const PAIRS: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Eight digits. */
export function hex32(word: number): string {
  return PAIRS[word >>> 24] + PAIRS[(word >>> 16) & 0xff] + PAIRS[(word >>> 8) & 0xff] + PAIRS[word & 0xff];
}
