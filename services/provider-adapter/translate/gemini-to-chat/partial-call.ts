import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, objectsOf, textOf } from "../json-reading.ts";

/** More items than any call has: what is above comes from a broken provider. */
const maxIndex = 10_000;

/**
 * A function call whose arguments are streamed, https://ai.google.dev/api/caching#FunctionCall: its name comes first, then
 * values by their JSON path, strings in pieces.
 */
export class PartialCall {
  readonly #call: JsonObject = {};
  readonly #args: JsonObject = {};
  #signature = "";

  /** Takes a part. Returns the whole call's part when this one was its last. */
  push(part: JsonObject, functionCall: JsonObject): JsonObject | undefined {
    for (const name of ["name", "id"]) {
      if (typeof functionCall[name] === "string") this.#call[name] = functionCall[name];
    }
    if (isObject(functionCall.args)) Object.assign(this.#args, functionCall.args);
    for (const value of objectsOf(functionCall.partialArgs)) setValue(this.#args, value);
    this.#signature = textOf(part.thoughtSignature) || this.#signature;
    return functionCall.willContinue === true ? undefined : this.end();
  }

  /** The call as far as it was told. */
  end(): JsonObject {
    const part: JsonObject = { functionCall: { ...this.#call, args: this.#args } };
    if (this.#signature !== "") part.thoughtSignature = this.#signature;
    return part;
  }
}

function setValue(args: JsonObject, { jsonPath, stringValue, numberValue, boolValue }: JsonObject): void {
  const keys = keysOf(textOf(jsonPath));
  const last = keys.pop();
  if (last === undefined) return;
  let at: JsonObject | JsonValue[] = args;
  for (const [index, key] of keys.entries()) {
    const next: JsonValue = childOf(at, key) ?? (typeof (keys[index + 1] ?? last) === "number" ? [] : {});
    if (!isObject(next) && !Array.isArray(next)) return;
    setChild(at, key, next);
    at = next;
  }
  const before = childOf(at, last);
  if (stringValue === undefined) setChild(at, last, numberValue ?? boolValue ?? null);
  else setChild(at, last, typeof before === "string" ? before + textOf(stringValue) : textOf(stringValue));
}

/** `$.a[0]['b']` as its keys; empty where it is no such path. */
function keysOf(path: string): (string | number)[] {
  if (path[0] !== "$" || path.includes("__proto__")) return [];
  const keys: (string | number)[] = [];
  for (const [, name, index, quoted] of path.slice(1).matchAll(/\.([^.[\]]+)|\[(\d+)\]|\[(?:'|")([^'"]*)(?:'|")\]/g)) {
    if (index === undefined) keys.push(name ?? quoted ?? "");
    else if (Number(index) <= maxIndex) keys.push(Number(index));
    else return [];
  }
  return keys;
}

function childOf(parent: JsonObject | JsonValue[], key: string | number): JsonValue | undefined {
  if (Array.isArray(parent)) return typeof key === "number" ? parent[key] : undefined;
  return Object.hasOwn(parent, key) ? parent[key] : undefined;
}

function setChild(parent: JsonObject | JsonValue[], key: string | number, value: JsonValue): void {
  if (!Array.isArray(parent)) parent[key] = value;
  else if (typeof key === "number") parent[key] = value;
}
