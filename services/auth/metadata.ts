import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";

const maxBytes = 65_536;
const maxDepth = 64;

/** PostgreSQL's jsonb can hold neither a NUL nor half a surrogate pair. `JSON.stringify` escapes both. */
const unstorable = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/;

/** Reads the metadata of a key: a JSON object that the database can keep. Absent and null mean an empty one. */
export function readMetadata(bytes: Uint8Array | undefined): Record<string, unknown> {
  if (bytes === undefined || bytes.length === 0) return {};
  if (bytes.length > maxBytes) throw invalid(`must have at most ${maxBytes} bytes`);
  const value = parse(bytes);
  if (value === null) return {};
  if (!isObject(value)) throw invalid("must be a JSON object");
  if (depth(value) > maxDepth) throw invalid(`must nest at most ${maxDepth} levels`);
  if (unstorable.test(JSON.stringify(value))) throw invalid("must hold no NUL and no broken characters");
  return value;
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw invalid("must be a JSON object");
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function depth(value: unknown, above = 0): number {
  if (typeof value !== "object" || value === null || above > maxDepth) return above;
  return Object.values(value).reduce((most: number, each) => Math.max(most, depth(each, above + 1)), above + 1);
}

function invalid(what: string) {
  return gatewayError(Reason.INVALID_REQUEST, `metadata ${what}.`, { param: "metadata" });
}
