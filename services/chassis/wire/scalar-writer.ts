import { ScalarType } from "@bufbuild/protobuf";
import type { WireWriter } from "./wire-writer.ts";

/** Writes the value of a field, the tag excluded. Throws where it is not what a field of the type usually holds. */
export type WriteValue = (to: WireWriter, value: unknown) => void;

/** How a value lies on the wire, https://protobuf.dev/programming-guides/encoding/#structure */
export const wireType = { varint: 0, bit64: 1, lengthDelimited: 2, bit32: 5 } as const;

/** A kind of scalar. */
export interface ScalarWriter {
  readonly wireType: number;
  /** What a field without presence holds when it is not set. Undefined where that takes more than a comparison. */
  readonly zero: unknown;
  readonly write: WriteValue;
}

const largestFloat = 3.4028234663852886e38;

const text: ScalarWriter = {
  wireType: wireType.lengthDelimited,
  zero: "",
  write(to, value) {
    if (typeof value !== "string") throw new TypeError("no text");
    to.text(value);
  },
};

const bytes: ScalarWriter = {
  wireType: wireType.lengthDelimited,
  zero: undefined,
  write(to, value) {
    if (!(value instanceof Uint8Array)) throw new TypeError("no bytes");
    to.chunk(value);
  },
};

const bool: ScalarWriter = {
  wireType: wireType.varint,
  zero: false,
  write(to, value) {
    if (typeof value !== "boolean") throw new TypeError("no boolean");
    to.varint(value ? 1 : 0);
  },
};

function small(min: number, max: number, wire: number, write: (to: WireWriter, value: number) => void): ScalarWriter {
  return {
    wireType: wire,
    zero: 0,
    write(to, value) {
      if (typeof value !== "number" || value < min || value > max || !Number.isInteger(value)) {
        throw new TypeError("no integer of 32 bits");
      }
      write(to, value);
    },
  };
}

function big(min: bigint, max: bigint, wire: number, write: (to: WireWriter, value: bigint) => void): ScalarWriter {
  return {
    wireType: wire,
    zero: 0n,
    write(to, value) {
      if (typeof value !== "bigint" || value < min || value > max) throw new TypeError("no integer of 64 bits");
      write(to, value);
    },
  };
}

/** Most are small, and a comparison of numbers costs less than one of big integers. */
function bigVarint(min: bigint, max: bigint): ScalarWriter {
  const { write, ...kind } = big(min, max, wireType.varint, (to, value) => to.bigVarint(value));
  return {
    ...kind,
    write(to, value) {
      const small = typeof value === "bigint" ? Number(value) : -1;
      if (small >= 0 && small <= Number.MAX_SAFE_INTEGER) to.varint(small);
      else write(to, value);
    },
  };
}

function floating(wire: number, largest: number, write: (to: WireWriter, value: number) => void): ScalarWriter {
  return {
    wireType: wire,
    zero: undefined,
    write(to, value) {
      if (typeof value !== "number") throw new TypeError("no number");
      if (Number.isFinite(value) && Math.abs(value) > largest) throw new TypeError("too large a number");
      write(to, value);
    },
  };
}

const signed = [-0x80000000, 0x7fffffff] as const;
const unsigned = [0, 0xffffffff] as const;
const bigSigned = [-(2n ** 63n), 2n ** 63n - 1n] as const;
const bigUnsigned = [0n, 2n ** 64n - 1n] as const;

/** How each kind of scalar is written. An enum is an INT32. */
export const scalarWriters: Readonly<Record<ScalarType, ScalarWriter>> = {
  [ScalarType.STRING]: text,
  [ScalarType.BYTES]: bytes,
  [ScalarType.BOOL]: bool,
  [ScalarType.INT32]: small(...signed, wireType.varint, (to, value) => to.int32(value)),
  [ScalarType.UINT32]: small(...unsigned, wireType.varint, (to, value) => to.varint(value)),
  [ScalarType.SINT32]: small(...signed, wireType.varint, (to, value) =>
    to.varint(((value << 1) ^ (value >> 31)) >>> 0),
  ),
  [ScalarType.FIXED32]: small(...unsigned, wireType.bit32, (to, value) => to.fixed32(value)),
  [ScalarType.SFIXED32]: small(...signed, wireType.bit32, (to, value) => to.fixed32(value)),
  [ScalarType.INT64]: bigVarint(...bigSigned),
  [ScalarType.UINT64]: bigVarint(...bigUnsigned),
  [ScalarType.SINT64]: big(...bigSigned, wireType.varint, (to, value) =>
    to.bigVarint(BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))),
  ),
  [ScalarType.FIXED64]: big(...bigUnsigned, wireType.bit64, (to, value) => to.fixed64(value)),
  [ScalarType.SFIXED64]: big(...bigSigned, wireType.bit64, (to, value) => to.fixed64(value)),
  [ScalarType.FLOAT]: floating(wireType.bit32, largestFloat, (to, value) => to.float(value)),
  [ScalarType.DOUBLE]: floating(wireType.bit64, Number.MAX_VALUE, (to, value) => to.double(value)),
};
