import type { JsonObject } from "../../provider.ts";

/** A name in camelCase; one that begins with `_` keeps it. */
export function camelCase(name: string): string {
  return name.replace(/(?<=[a-z0-9])_([a-z0-9])/g, (_, next) => next.toUpperCase());
}

/**
 * An object whose names are in camelCase. Google takes every name of its API in snake_case too, as protobuf's JSON allows:
 * https://protobuf.dev/programming-guides/json/. What lies deeper stays as it is: names there may be the client's own.
 */
export function camelCased(object: JsonObject): JsonObject {
  const names = Object.keys(object);
  if (!names.some((name) => name.includes("_"))) return object;
  return Object.fromEntries(names.map((name) => [camelCase(name), object[name] ?? null]));
}
