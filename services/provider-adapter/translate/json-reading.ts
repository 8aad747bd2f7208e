import type { JsonObject, JsonValue } from "../provider.ts";

/** Narrowing reads of parsed JSON. Nothing here throws: what is not there, or of another type, reads as empty. */

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The text of a value; empty where it is no string. */
export function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}

/** The number of a value; 0 where it is none. */
export function numberOf(value: JsonValue | undefined): number {
  return typeof value === "number" ? value : 0;
}

/** More tokens than any call can have: what is above comes from a broken provider. */
const maxCount = 1_000_000_000;

/** A count of tokens or calls, without a fraction; undefined where it is none that can be true. */
export function countOf(value: JsonValue | undefined): number | undefined {
  return typeof value === "number" && value >= 0 && value <= maxCount ? Math.trunc(value) : undefined;
}

/** The items of a value; empty where it is no array. */
export function listOf(value: JsonValue | undefined): JsonValue[] {
  return Array.isArray(value) ? value : [];
}

/** The items of a value that are objects. */
export function objectsOf(value: JsonValue | undefined): JsonObject[] {
  return listOf(value).filter(isObject);
}

/** The object of a value; empty where it is none. */
export function objectOf(value: JsonValue | undefined): JsonObject {
  return isObject(value) ? value : {};
}

/** Parses a JSON text that has to be an object; undefined where it is not one. */
export function parseObject(text: string): JsonObject | undefined {
  try {
    const value: JsonValue = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Bytes as text, without a copy of the bytes. */
export function decodeText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

/** An object without the named members. */
export function without(object: JsonObject, ...names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}
