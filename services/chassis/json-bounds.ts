const maxBytes = 65_536;
const maxDepth = 64;

/** PostgreSQL's jsonb can hold neither a NUL nor half a surrogate pair. `JSON.stringify` escapes both. */
const unstorable = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/;

/** What is wrong with bytes that should be a JSON object which the database can keep; undefined where nothing is. */
export function jsonFault(bytes: Uint8Array): string | undefined {
  if (bytes.length > maxBytes) return `must have at most ${maxBytes} bytes`;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return "must be a JSON object";
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "must be a JSON object";
  if (depth(value) > maxDepth) return `must nest at most ${maxDepth} levels`;
  return unstorable.test(JSON.stringify(value)) ? "must hold no NUL and no broken characters" : undefined;
}

function depth(value: unknown, above = 0): number {
  if (typeof value !== "object" || value === null || above > maxDepth) return above;
  return Object.values(value).reduce((most: number, each) => Math.max(most, depth(each, above + 1)), above + 1);
}
