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

/** A place where two values differ; an absent value is undefined. */
export interface Difference {
  readonly path: string;
  readonly theirs: JsonValue | undefined;
  readonly ours: JsonValue | undefined;
}

/** Every place where two values differ as JSON. Texts that are JSON themselves are compared as such. */
export function allDifferences(theirs: JsonValue | undefined, ours: JsonValue | undefined, path: string): Difference[] {
  if (isObject(theirs) && isObject(ours)) {
    return [...new Set([...Object.keys(theirs), ...Object.keys(ours)])].flatMap((name) =>
      allDifferences(theirs[name], ours[name], `${path}.${name}`),
    );
  }
  if (Array.isArray(theirs) && Array.isArray(ours) && theirs.length === ours.length) {
    return theirs.flatMap((value, index) => allDifferences(value, ours[index], `${path}[${index}]`));
  }
  const equal = JSON.stringify(theirs) === JSON.stringify(ours) || sameJson(theirs, ours);
  return equal ? [] : [{ path, theirs, ours }];
}

/** The arguments of a call are a text that holds JSON: blanks in it say nothing. */
function sameJson(a: JsonValue | undefined, b: JsonValue | undefined): boolean {
  if (typeof a !== "string" || typeof b !== "string" || !a.startsWith("{") || !b.startsWith("{")) return false;
  try {
    return JSON.stringify(JSON.parse(a)) === JSON.stringify(JSON.parse(b));
  } catch {
    return false;
  }
}
