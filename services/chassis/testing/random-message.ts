import { create, type DescEnum, type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect, type ScalarValue } from "@bufbuild/protobuf/reflect";

/** Numbers from 0 up to a limit, the same ones for the same seed. */
export type Random = (limit: number) => number;

/** https://en.wikipedia.org/wiki/Linear_congruential_generator */
export function seededRandom(seed: number): Random {
  let state = BigInt(seed);
  return (limit) => {
    state = (state * 6364136223846793005n + 1442695040888963407n) % 2n ** 64n;
    return Number((state >> 33n) % BigInt(limit));
  };
}

/** A message with about half of its fields set, to values of every size. */
export function randomMessage(schema: DescMessage, random: Random, depth = 3): Message {
  const message = reflect(schema, create(schema));
  for (const field of schema.fields) {
    const required = field.fieldKind !== "list" && field.fieldKind !== "map" && field.presence === 3;
    if (required || random(2) === 0) setField(message, field, random, depth);
  }
  return message.message;
}

function setField(message: ReflectMessage, field: DescField, random: Random, depth: number): void {
  if (field.message !== undefined && depth === 0) return;
  switch (field.fieldKind) {
    case "list":
      for (let left = random(4); left > 0; left--) message.get(field).add(anyOf(field, random, depth));
      return;
    case "map":
      for (let left = random(4); left > 0; left--) {
        const key = scalarOf(field.mapKey, random);
        if (typeof key === "object") throw new TypeError("bytes are no key");
        message.get(field).set(key, anyOf(field, random, depth));
      }
      return;
    default:
      message.set(field, anyOf(field, random, depth));
  }
}

function anyOf(field: DescField, random: Random, depth: number): ScalarValue | ReflectMessage {
  if (field.message !== undefined) return reflect(field.message, randomMessage(field.message, random, depth - 1));
  return field.enum === undefined ? scalarOf(field.scalar ?? ScalarType.INT32, random) : enumOf(field.enum, random);
}

function enumOf({ values }: DescEnum, random: Random): number {
  return values[random(values.length)]?.number ?? 0;
}

function pick<T>(random: Random, first: T, ...others: readonly T[]): T {
  return [first, ...others][random(others.length + 1)] ?? first;
}

function scalarOf(type: ScalarType, random: Random): ScalarValue {
  switch (type) {
    case ScalarType.STRING:
      return textOf(random);
    case ScalarType.BYTES:
      return Buffer.alloc(pick(random, 0, 1, 127, 128, 20_000), random(256));
    case ScalarType.BOOL:
      return random(2) === 1;
    case ScalarType.FLOAT:
      return pick(random, 0, -0, 1.5, -2.25, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
    case ScalarType.DOUBLE:
      return pick(random, 0, -0, 0.1, -1e300, Number.NaN, Number.POSITIVE_INFINITY, Number.MAX_VALUE);
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return (
        pick(random, -1n, 1n) * pick(random, 0n, 1n, 127n, 128n, 2n ** 31n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n)
      );
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return pick(random, 0n, 1n, 300n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n);
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return pick(random, 0, 1, 127, 128, 0x7fffffff, 0x80000000, 0xffffffff);
    default:
      return pick(random, 0, 1, -1, 127, 128, -300, 0x7fffffff, -0x80000000);
  }
}

function textOf(random: Random): string {
  const letters = pick(random, "a", "a", "é", "€", "😀", "aé");
  return letters.repeat(pick(random, 0, 1, 20, 36, 41, 100, 127, 128, 5000));
}
