// Types for buffer-layout 1.2 (it ships none): the part we use to define wire headers.
// Build-time only: no declaration file we publish may mention this module (test/tidy checks it).

declare module "buffer-layout" {
  /** One piece of memory layout. `b` must be a Buffer: the library calls readUIntBE and friends on it. */
  export class Layout<T = unknown> {
    constructor(span: number, property?: string);
    /** Size in bytes; negative when it depends on the value. */
    readonly span: number;
    /** Name inside the enclosing structure; undefined means padding. */
    readonly property: string | undefined;
    decode(b: Buffer, offset?: number): T;
    encode(src: T, b: Buffer, offset?: number): number;
    getSpan(b?: Buffer, offset?: number): number;
    replicate(property?: string): this;
    fromArray(values: readonly unknown[]): T | undefined;
  }

  /** A layout whose value tells the length of another one. */
  export class ExternalLayout<T = number> extends Layout<T> {
    isCount(): boolean;
  }
  export class GreedyCount extends ExternalLayout<number> {
    readonly elementSpan: number;
  }
  export class OffsetLayout extends ExternalLayout<number> {
    readonly layout: Layout<number>;
    readonly offset: number;
  }

  export class UInt extends Layout<number> {}
  export class UIntBE extends Layout<number> {}
  export class Int extends Layout<number> {}
  export class IntBE extends Layout<number> {}
  export class NearUInt64 extends Layout<number> {}
  export class NearUInt64BE extends Layout<number> {}

  export class Sequence<E = unknown> extends Layout<E[]> {
    readonly elementLayout: Layout<E>;
    readonly count: number | ExternalLayout;
  }

  export class Structure<T = Record<string, unknown>> extends Layout<T> {
    constructor(fields: readonly AnyLayout[], property?: string, decodePrefixes?: boolean);
    readonly fields: readonly AnyLayout[];
    readonly decodePrefixes: boolean;
    /** The layout of a named field; undefined when there is none. */
    layoutFor(property: string): AnyLayout | undefined;
    /** Byte offset of a named field; undefined when there is none or an earlier span varies. */
    offsetOf(property: string): number | undefined;
  }

  export class BitField {
    readonly container: BitStructure<unknown>;
    readonly bits: number;
    readonly valueMask: number;
    readonly start: number;
    readonly wordMask: number;
    readonly property: string | undefined;
  }
  /** The library's own single-bit field class; not the global Boolean. */
  class BooleanField extends BitField {}

  export { BooleanField as Boolean };

  export class BitStructure<T = Record<string, number | boolean>> extends Layout<T> {
    constructor(word: UInt | UIntBE, msb?: boolean | string, property?: string);
    readonly word: UInt | UIntBE;
    readonly msb: boolean;
    readonly fields: readonly BitField[];
    addField(bits: number, property?: string): BitField;
    addBoolean(property?: string): BooleanField;
    fieldFor(property: string): BitField | undefined;
  }

  export class Blob extends Layout<Uint8Array> {
    readonly length: number | ExternalLayout;
    constructor(length: number | ExternalLayout, property?: string);
  }
  export class Constant<T = unknown> extends Layout<T> {
    readonly value: T;
  }

  /** A layout of whatever value; `never` on the way in keeps Layout<number> assignable to it. */
  export interface AnyLayout {
    readonly span: number;
    readonly property: string | undefined;
    decode(b: Buffer, offset?: number): unknown;
    encode(src: never, b: Buffer, offset?: number): number;
    getSpan(b?: Buffer, offset?: number): number;
  }

  export function greedy(elementSpan?: number, property?: string): GreedyCount;
  export function offset(layout: Layout<number>, offset?: number, property?: string): OffsetLayout;
  export function u8(property?: string): UInt;
  export function u16(property?: string): UInt;
  export function u24(property?: string): UInt;
  export function u32(property?: string): UInt;
  export function u40(property?: string): UInt;
  export function u48(property?: string): UInt;
  export function nu64(property?: string): NearUInt64;
  export function u16be(property?: string): UIntBE;
  export function u24be(property?: string): UIntBE;
  export function u32be(property?: string): UIntBE;
  export function u40be(property?: string): UIntBE;
  export function u48be(property?: string): UIntBE;
  export function nu64be(property?: string): NearUInt64BE;
  export function s8(property?: string): Int;
  export function s16be(property?: string): IntBE;
  export function s32be(property?: string): IntBE;
  export function struct<T = Record<string, unknown>>(
    fields: readonly AnyLayout[],
    property?: string,
    decodePrefixes?: boolean,
  ): Structure<T>;
  export function bits<T = Record<string, number | boolean>>(
    word: UInt | UIntBE,
    msb?: boolean | string,
    property?: string,
  ): BitStructure<T>;
  export function seq<E>(
    elementLayout: Layout<E>,
    count: number | ExternalLayout,
    property?: string,
  ): Sequence<E>;
  export function blob(length: number | ExternalLayout, property?: string): Blob;
}
