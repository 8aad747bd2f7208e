import type { JsonValue } from "../../services/provider-adapter/provider.ts";
import { isObject } from "../../services/provider-adapter/translate/json-reading.ts";

const shown = 160;

/** Where two values differ as JSON first, in one line; undefined where they are equal. The order of members does not count. */
export function differenceOf(
  actual: JsonValue | undefined,
  expected: JsonValue | undefined,
  path = "$",
): string | undefined {
  if (Object.is(actual, expected)) return undefined;
  if (Array.isArray(actual) && Array.isArray(expected)) {
    const length = Math.max(actual.length, expected.length);
    for (let at = 0; at < length; at += 1) {
      const found = differenceOf(actual[at], expected[at], `${path}[${at}]`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (isObject(actual) && isObject(expected)) {
    for (const name of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
      const found = differenceOf(actual[name], expected[name], `${path}.${name}`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  return `${path} is ${show(actual)} instead of ${show(expected)}`;
}

function show(value: JsonValue | undefined): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length > shown ? `${text.slice(0, shown)}…` : text;
}
