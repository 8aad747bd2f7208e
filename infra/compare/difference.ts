import type { JsonValue } from "../../services/provider-adapter/provider.ts";
import { isObject } from "../../services/provider-adapter/translate/json-reading.ts";

/** A place where two values differ; an absent value is undefined. */
export interface Difference {
  readonly path: string;
  readonly litellm: JsonValue | undefined;
  readonly sluice: JsonValue | undefined;
}

/** Every place where two values differ as JSON. Texts that are JSON themselves are compared as such. */
export function differencesOf(
  litellm: JsonValue | undefined,
  sluice: JsonValue | undefined,
  path: string,
): Difference[] {
  if (isObject(litellm) && isObject(sluice)) {
    return [...new Set([...Object.keys(litellm), ...Object.keys(sluice)])].flatMap((name) =>
      differencesOf(litellm[name], sluice[name], `${path}.${name}`),
    );
  }
  if (Array.isArray(litellm) && Array.isArray(sluice) && litellm.length === sluice.length) {
    return litellm.flatMap((value, index) => differencesOf(value, sluice[index], `${path}[${index}]`));
  }
  const equal = JSON.stringify(litellm) === JSON.stringify(sluice) || sameJson(litellm, sluice);
  return equal ? [] : [{ path, litellm, sluice }];
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
