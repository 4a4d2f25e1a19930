/**
 * A C struct described once: from the description come its size, its field offsets, and decode, encode and print.
 * Hot paths read and write through the offsets; everything else goes through the generic three.
 */

/** A field: an integer of this machine's byte order, so many bytes of padding, or a struct inside the struct. */
export type Field = 'u16' | 'u32' | 'i32' | 'u64' | 'i64' | `pad${number}` | Struct<Fields>;

export interface Fields {
  readonly [name: string]: Field;
}

type Value<T> = T extends 'u16' | 'u32' | 'i32'
  ? number
  : T extends 'u64' | 'i64'
    ? bigint
    : T extends Struct<infer F>
      ? Values<F>
      : never;

type ValueFields<F extends Fields> = { [K in keyof F as F[K] extends `pad${number}` ? never : K]: F[K] };

/** The decoded form: 64-bit integers as bigint, smaller ones as number, padding left out. */
export type Values<F extends Fields> = {
  [K in keyof ValueFields<F>]: Value<ValueFields<F>[K]>;
};

/** What encode takes: fields left out are written as zero. */
export type PartialValues<F extends Fields> = {
  readonly [K in keyof ValueFields<F>]?: ValueFields<F>[K] extends Struct<infer G>
    ? PartialValues<G>
    : Value<ValueFields<F>[K]>;
};

export interface Struct<F extends Fields> {
  /** The name in linux/fuse.h. */
  readonly name: string;
  /** sizeof, in bytes. */
  readonly size: number;
  readonly align: number;
  /** offsetof, in bytes, by field. */
  readonly at: { readonly [K in keyof F]: number };
  /** Reads the struct at `base`; the caller has checked that `size` bytes are there. */
  decode(view: DataView, base: number): Values<F>;
  /** Writes the whole struct at `base`, padding and left-out fields as zero. */
  encode(view: DataView, base: number, values: PartialValues<F>): void;
  /** `{field=value ...}` with every field but padding. */
  print(view: DataView, base: number): string;
}

const INTEGER_BYTES = { u16: 2, u32: 4, i32: 4, u64: 8, i64: 8 } as const;

function shape(field: Field): { size: number; align: number } {
  if (typeof field !== 'string') return { size: field.size, align: field.align };
  if (field in INTEGER_BYTES) {
    const size = INTEGER_BYTES[field as keyof typeof INTEGER_BYTES];
    return { size, align: size };
  }
  return { size: Number(field.slice('pad'.length)), align: 1 };
}

function read(view: DataView, at: number, field: Field): unknown {
  switch (field) {
    case 'u16':
      return view.getUint16(at, true);
    case 'u32':
      return view.getUint32(at, true);
    case 'i32':
      return view.getInt32(at, true);
    case 'u64':
      return view.getBigUint64(at, true);
    case 'i64':
      return view.getBigInt64(at, true);
    default:
      return typeof field === 'string' ? undefined : field.decode(view, at);
  }
}

function write(view: DataView, at: number, field: Field, value: unknown): void {
  if (typeof field !== 'string') {
    field.encode(view, at, (value as PartialValues<Fields> | undefined) ?? {});
    return;
  }
  const small = (value as number | undefined) ?? 0;
  const large = (value as bigint | undefined) ?? 0n;
  if (field === 'u16') view.setUint16(at, small, true);
  else if (field === 'u32') view.setUint32(at, small, true);
  else if (field === 'i32') view.setInt32(at, small, true);
  else if (field === 'u64') view.setBigUint64(at, large, true);
  else if (field === 'i64') view.setBigInt64(at, large, true);
}

function printField(view: DataView, at: number, field: Field): string {
  return typeof field === 'string' ? String(read(view, at, field)) : field.print(view, at);
}

/** Describes the struct `name` with its fields in order, placed as a C compiler places them on 64-bit Linux. */
export function defineStruct<const F extends Fields>(name: string, fields: F): Struct<F> {
  const offsets: Record<string, number> = {};
  let end = 0;
  let structAlign = 1;
  for (const [key, field] of Object.entries(fields)) {
    const { size, align } = shape(field);
    end = Math.ceil(end / align) * align;
    offsets[key] = end;
    end += size;
    structAlign = Math.max(structAlign, align);
  }
  const size = Math.ceil(end / structAlign) * structAlign;
  const valued = Object.entries(fields)
    .filter(([, field]) => typeof field !== 'string' || !field.startsWith('pad'))
    .map(([key, field]) => ({ key, field, at: offsets[key] ?? 0 }));
  return {
    name,
    size,
    align: structAlign,
    at: offsets as { readonly [K in keyof F]: number },
    decode(view, base) {
      const values: Record<string, unknown> = {};
      for (const { key, field, at } of valued) values[key] = read(view, base + at, field);
      return values as Values<F>;
    },
    encode(view, base, values) {
      new Uint8Array(view.buffer, view.byteOffset + base, size).fill(0);
      const given = values as Readonly<Record<string, unknown>>;
      for (const { key, field, at } of valued) write(view, base + at, field, given[key]);
    },
    print(view, base) {
      return `{${valued.map(({ key, field, at }) => `${key}=${printField(view, base + at, field)}`).join(' ')}}`;
    },
  };
}

const TWO_32 = 0x1_0000_0000;
/** The first value of the high half whose 64-bit number is not below 2^53. */
const HIGH_LIMIT = 0x20_0000;

/** The u64 at `at` as a number, or -1 when it is 2^53 or more. */
export function readU53(view: DataView, at: number): number {
  const high = view.getUint32(at + 4, true);
  return high < HIGH_LIMIT ? high * TWO_32 + view.getUint32(at, true) : -1;
}

/** Writes the non-negative integer `value` (below 2^53) as u64. */
export function writeU53(view: DataView, at: number, value: number): void {
  view.setUint32(at, value, true);
  view.setUint32(at + 4, value / TWO_32, true);
}
