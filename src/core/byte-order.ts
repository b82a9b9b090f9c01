// Words of a frame as this machine reads them from an Int32Array, which unlike a DataView has no byte order
// of its own, and which V8 does not look up again for every word that is written.

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** htonl(): the word whose bytes in memory are those of `value` in network order; also ntohl(). */
export function htonl(value: number): number {
  if (!LITTLE_ENDIAN) return value;
  return (value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24);
}
