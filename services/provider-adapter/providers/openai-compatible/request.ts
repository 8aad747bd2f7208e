import { gatewayError, upstreamError } from "#chassis/errors.ts";
import {
  editJson,
  editMembers,
  findMember,
  findMembers,
  type JsonMember,
  JsonObjectProblem,
} from "#chassis/json-members.ts";
import { Reason, UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonValue, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { isObject } from "../../translate/json-reading.ts";
import { type ProviderRow, pathOf } from "./provider-row.ts";

/** The request, and what its answer has to be read with. */
export interface BuiltRequest {
  readonly request: UpstreamRequest;
  /** The client did not ask for usage: the chunk that carries it is taken out of the stream. */
  readonly stripUsage: boolean;
  /** The answer carries log probabilities: its bytes say nothing about its tokens. */
  readonly logprobs: boolean;
}

/** Headers that the request makes itself, or that belong to one connection. */
const ownHeaders = new Set([
  "accept-encoding",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "expect",
  "host",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Builds the upstream request: the client's bytes, edited by splicing where they have to differ, and nowhere else. */
export function buildRequest(row: ProviderRow, call: ProviderCall): BuiltRequest {
  const path = pathOf(row, call.operation);
  if (path === undefined) {
    throw gatewayError(Reason.OPERATION_UNSUPPORTED, `${row.id} does not offer this operation`, { param: "model" });
  }
  const headers = buildHeaders(row, call);
  try {
    const body = new BodyEdit(row, call);
    const request: UpstreamRequest = {
      method: "POST",
      url: `${baseOf(row, call)}/${path}`,
      headers,
      body: body.apply(),
    };
    return { request, stripUsage: body.stripUsage, logprobs: body.has("logprobs") };
  } catch (error) {
    if (!(error instanceof JsonObjectProblem)) throw error;
    throw gatewayError(Reason.INVALID_REQUEST, `the body is not a JSON object: ${error.message}`);
  }
}

function baseOf(row: ProviderRow, call: ProviderCall): string {
  if (call.baseUrl === "") return row.base_url;
  const isRoot = row.root_path !== undefined && /^https?:\/\/[^/]+$/.test(call.baseUrl);
  return isRoot ? `${call.baseUrl}${row.root_path}` : call.baseUrl;
}

/** Collects the edits of one body. */
class BodyEdit {
  readonly #row: ProviderRow;
  readonly #call: ProviderCall;
  readonly #members: readonly JsonMember[];
  readonly #set: Record<string, string> = {};
  readonly #defaults: Record<string, string> = {};
  readonly #removed: string[] = [];
  #stripUsage = false;

  constructor(row: ProviderRow, call: ProviderCall) {
    this.#row = row;
    this.#call = call;
    this.#members = findMembers(call.body);
    for (const [name, value] of Object.entries(call.defaultParams)) {
      if (name !== "model" && name !== "stream") this.#defaults[name] = JSON.stringify(value);
    }
    this.#set.model = JSON.stringify(call.model);
    if (call.stream && isChat(call.operation) && row.stream_usage === "option") this.#askForUsage();
    if (call.outputTokenCap !== undefined) this.#lowerOutputLimit(call.outputTokenCap);
    for (const { from, to, models } of row.renames) if (models?.test(call.model) !== false) this.#rename(from, to);
    if (call.dropParams) {
      this.#removed.push(...row.unsupported_params.filter((name) => !call.allowedParams.includes(name)));
    }
  }

  get stripUsage(): boolean {
    return this.#stripUsage;
  }

  has(name: string): boolean {
    return findMember(this.#members, name) !== undefined;
  }

  apply(): Uint8Array {
    const edits = { set: this.#set, setIfAbsent: this.#defaults, remove: this.#removed };
    return editMembers(this.#call.body, this.#members, edits);
  }

  /** The JSON text that a field would have upstream; undefined where it has none. */
  #text(name: string): string | undefined {
    const edited = this.#set[name];
    if (edited !== undefined) return edited;
    const member = findMember(this.#members, name);
    if (member === undefined) return this.#defaults[name];
    return Buffer.from(this.#call.body.subarray(member.valueStart, member.valueEnd)).toString();
  }

  #value(name: string): JsonValue | undefined {
    const text = this.#text(name);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text);
    } catch {
      throw new JsonObjectProblem(`${name} is malformed`);
    }
  }

  #askForUsage(): void {
    const text = this.#text("stream_options");
    const options = this.#value("stream_options");
    if (isObject(options) && options.include_usage === true) return;
    // Of another type: the provider says what is wrong with it.
    if (options !== undefined && options !== null && !isObject(options)) return;
    this.#stripUsage = true;
    this.#set.stream_options = Buffer.from(
      editJson(Buffer.from(isObject(options) ? (text ?? "{}") : "{}"), { set: { include_usage: "true" } }),
    ).toString();
  }

  #lowerOutputLimit(cap: number): void {
    let found = false;
    for (const name of this.#limitFields()) {
      const value = this.#value(name);
      if (value === undefined || value === null) continue;
      found = true;
      // What is no positive number may mean "no limit" to the provider.
      if (typeof value !== "number" || !(value > 0 && value <= cap)) this.#set[name] = String(cap);
    }
    const [field] = this.#limitFields();
    if (!found && field !== undefined) this.#set[field] = String(cap);
  }

  /** Every field that may limit the output; the first one is the one to set. */
  #limitFields(): string[] {
    switch (this.#call.operation) {
      case Operation.CHAT_COMPLETIONS:
        return [...new Set([this.#row.output_limit_field, "max_tokens", "max_completion_tokens"])];
      case Operation.COMPLETIONS:
        return ["max_tokens"];
      case Operation.RESPONSES:
        return ["max_output_tokens"];
      default:
        return [];
    }
  }

  /** The body's own field of the new name wins over the renamed one. */
  #rename(from: string, to: string): void {
    if (this.#call.operation !== Operation.CHAT_COMPLETIONS) return;
    const text = this.#text(from);
    if (text === undefined) return;
    if (this.#text(to) === undefined) this.#set[to] = text;
    delete this.#set[from];
    delete this.#defaults[from];
    this.#removed.push(from);
  }
}

function isChat(operation: Operation): boolean {
  return operation === Operation.CHAT_COMPLETIONS || operation === Operation.COMPLETIONS;
}

/** A key is needed at the provider's own address; an address of one's own may be open. */
function buildHeaders(row: ProviderRow, call: ProviderCall): Record<string, string> {
  const headers: Record<string, string> = { accept: call.stream ? "text/event-stream" : "application/json" };
  const key = call.credential?.reveal().trim() ?? "";
  if (key !== "") {
    if (!/^[\x21-\x7e]+$/.test(key)) {
      throw authenticationError(row, `the key of ${row.id} holds characters that no header can carry`);
    }
    headers[row.credential_header] = `${row.credential_prefix}${key}`;
  } else if (row.credential_env !== undefined && (call.baseUrl === "" || call.baseUrl === row.base_url)) {
    if (call.headers[row.credential_header] === undefined) {
      throw authenticationError(row, `no key for ${row.id}: set ${row.credential_env}`);
    }
  }
  for (const [name, value] of Object.entries(call.headers)) {
    if (!ownHeaders.has(name) && !name.startsWith("anthropic-")) headers[name] = value;
  }
  headers["content-type"] = "application/json";
  return headers;
}

function authenticationError(row: ProviderRow, message: string): Error {
  return upstreamError({
    kind: UpstreamErrorKind.AUTHENTICATION,
    httpStatus: 401,
    provider: row.id,
    retryable: false,
    message,
    type: "authentication_error",
    code: "invalid_api_key",
  });
}
