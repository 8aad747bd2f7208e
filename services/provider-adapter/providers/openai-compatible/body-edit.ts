import {
  editJson,
  editMembers,
  findMember,
  JsonObjectProblem,
  memberText,
  type ScannedObject,
  scanObject,
} from "#chassis/json-members.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonValue, ProviderCall } from "../../provider.ts";
import { isObject } from "../../translate/json-reading.ts";

/** Collects the edits of one body, beginning with a deployment's own parameters for what the body does not set. */
export class BodyEdit {
  readonly #body: ScannedObject;
  readonly #set: Record<string, string> = {};
  readonly #defaults: Record<string, string> = {};
  readonly #removed: string[] = [];

  /** Throws a JsonObjectProblem where the body is no JSON object. */
  constructor(call: ProviderCall) {
    this.#body = scanObject(call.body);
    for (const name in call.defaultParams) {
      if (name !== "model" && name !== "stream") this.#defaults[name] = JSON.stringify(call.defaultParams[name]);
    }
  }

  /** Whether the client's body has the field. */
  has(name: string): boolean {
    return findMember(this.#body.members, name) !== undefined;
  }

  /** The JSON text that a field would have upstream; undefined where it has none. */
  text(name: string): string | undefined {
    const edited = this.#set[name];
    if (edited !== undefined) return edited;
    const member = findMember(this.#body.members, name);
    if (member === undefined) return this.#defaults[name];
    return memberText(this.#body, member);
  }

  /** The value that a field would have upstream. */
  value(name: string): JsonValue | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text);
    } catch {
      throw new JsonObjectProblem(`${name} is malformed`);
    }
  }

  /** Sets a field to a value, whatever the body says. */
  set(name: string, value: JsonValue): void {
    this.#set[name] = JSON.stringify(value);
  }

  /** Takes a field of the client's body out. */
  remove(name: string): void {
    this.#removed.push(name);
  }

  /** The body's own field of the new name wins over the renamed one. */
  rename(from: string, to: string): void {
    const text = this.text(from);
    if (text === undefined) return;
    if (this.text(to) === undefined) this.#set[to] = text;
    delete this.#set[from];
    delete this.#defaults[from];
    this.#removed.push(from);
  }

  /** Has a stream tell its usage. Whether that is news: the client did not ask for it. */
  askForUsage(): boolean {
    const text = this.text("stream_options");
    const options = this.value("stream_options");
    if (isObject(options) && options.include_usage === true) return false;
    // Of another type: the provider says what is wrong with it.
    if (options !== undefined && options !== null && !isObject(options)) return false;
    const edited = editJson(Buffer.from(isObject(options) ? (text ?? "{}") : "{}"), { set: { include_usage: "true" } });
    this.#set.stream_options = Buffer.from(edited).toString();
    return true;
  }

  /** Lowers the output limit to `cap`. `fields`: every field that may limit it, the one to set first. */
  lowerOutputLimit(fields: readonly string[], cap: number): void {
    let found = false;
    for (const name of fields) {
      const value = this.value(name);
      if (value === undefined || value === null) continue;
      found = true;
      // What is no positive number may mean "no limit" to the provider.
      if (typeof value !== "number" || !(value > 0 && value <= cap)) this.set(name, cap);
    }
    const [field] = fields;
    if (!found && field !== undefined) this.set(field, cap);
  }

  apply(): Uint8Array {
    const edits = { set: this.#set, setIfAbsent: this.#defaults, remove: this.#removed };
    return editMembers(this.#body, edits);
  }
}

const chatLimits = ["max_tokens", "max_completion_tokens"];

/** Every field that may limit the output of an operation; the first one is the one to set. */
export function outputLimitFields(operation: Operation, chatField: string): string[] {
  switch (operation) {
    case Operation.CHAT_COMPLETIONS:
      return [chatField, ...chatLimits.filter((name) => name !== chatField)];
    case Operation.COMPLETIONS:
      return ["max_tokens"];
    case Operation.RESPONSES:
      return ["max_output_tokens"];
    default:
      return [];
  }
}
