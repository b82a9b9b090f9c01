// How a header is defined: a buffer-layout structure behind a small type of our own, so that offsets and bit
// masks come out of it once, at module load, and no published declaration mentions buffer-layout.

import { type AnyLayout, BitStructure, bits, struct, type UInt, type UIntBE } from "buffer-layout";

/** One field of a header, as made by buffer-layout. */
export interface Field {
  readonly span: number;
  readonly property: string | undefined;
}

/** What a header decodes to: numbers, and one nested object per group of bits. */
export type HeaderValues = { [name: string]: number | { [bits: string]: number } };

export interface Header {
  readonly name: string;
  /** Bytes of the fixed part. */
  readonly size: number;
  offsetOf(field: string): number;
  maskOf(field: string, bits: string): number;
  shiftOf(field: string, bits: string): number;
  decode(bytes: Uint8Array, offset: number): HeaderValues;
  /** Fields left out keep the bytes they have. */
  encode(values: HeaderValues, bytes: Uint8Array, offset: number): void;
}

export function defineHeader(name: string, fields: readonly Field[]): Header {
  const layout = struct<HeaderValues>(fields as readonly AnyLayout[]);
  const bitField = (field: string, bit: string) => {
    const group = layout.layoutFor(field);
    const found = group instanceof BitStructure ? group.fieldFor(bit) : undefined;
    if (found === undefined) throw new Error(`${name} has no bits ${field}.${bit}`);
    return found;
  };
  return {
    name,
    size: layout.span,
    offsetOf(field) {
      const offset = layout.offsetOf(field);
      if (offset === undefined || offset < 0) throw new Error(`${name} has no field ${field}`);
      return offset;
    },
    maskOf: (field, bit) => bitField(field, bit).wordMask,
    shiftOf: (field, bit) => bitField(field, bit).start,
    decode: (bytes, offset) => layout.decode(asBuffer(bytes), offset),
    encode: (values, bytes, offset) => {
      layout.encode(values, asBuffer(bytes), offset);
    },
  };
}

/** A word cut into named groups of bits, most significant first. */
export function bitFields(word: Field, name: string, parts: readonly (readonly [string, number])[]): Field {
  const group = bits(word as UInt | UIntBE, true, name);
  for (const [part, width] of parts) group.addField(width, part);
  return group;
}

export const offsetOf = (h: Header, field: string): number => h.offsetOf(field);

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
