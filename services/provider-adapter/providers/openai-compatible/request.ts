import { spellModel } from "#catalog/model-name.ts";
import { gatewayError } from "#chassis/errors.ts";
import { JsonObjectProblem } from "#chassis/json-members.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { ProviderCall, UpstreamRequest } from "../../provider.ts";
import { baseOf, chatPathOf, notConfigured, pathFor, rowHeaders } from "./address.ts";
import { BodyEdit, outputLimitFields } from "./body-edit.ts";
import { applyChatQuirks } from "./chat-quirks.ts";
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
  const base = baseOf(row, call);
  const headers = buildHeaders(row, call, base);
  const model = spellModel(row.model_names, call.model);
  try {
    const body = new BodyEdit(call);
    body.set("model", model);
    const stripUsage = call.stream && isChat(call.operation) && row.stream_usage === "option" && body.askForUsage();
    if (call.outputTokenCap !== undefined) {
      body.lowerOutputLimit(outputLimitFields(call.operation, row.output_limit_field), call.outputTokenCap);
    }
    if (call.operation === Operation.CHAT_COMPLETIONS) applyChatQuirks(row, call, body);
    const url = `${base}/${chatPathOf(row, call) ?? pathFor(row, call, path, model)}`;
    const request: UpstreamRequest = { method: "POST", url, headers, body: body.apply() };
    return { request, stripUsage, logprobs: body.has("logprobs") };
  } catch (error) {
    if (!(error instanceof JsonObjectProblem)) throw error;
    throw gatewayError(Reason.INVALID_REQUEST, `the body is not a JSON object: ${error.message}`);
  }
}

function isChat(operation: Operation): boolean {
  return operation === Operation.CHAT_COMPLETIONS || operation === Operation.COMPLETIONS;
}

/** A key is needed at the provider's own address; an address of one's own may be open. */
function buildHeaders(row: ProviderRow, call: ProviderCall, base: string): Record<string, string> {
  const headers: Record<string, string> = { accept: call.stream ? "text/event-stream" : "application/json" };
  const key = keyOf(row, call);
  if (key !== "") headers[row.key_header] = `${row.key_prefix}${key}`;
  else if (row.needs_key && (call.baseUrl === "" || base === row.base_url)) {
    if (call.headers[row.key_header] === undefined) {
      throw notConfigured(row, `no key for ${row.id}: set ${row.key_variables[0] ?? "api_key"}`);
    }
  }
  for (const [name, value] of rowHeaders(row, call, key)) headers[name] = value;
  for (const name in call.headers) {
    if (!ownHeaders.has(name) && !name.startsWith("anthropic-")) headers[name] = call.headers[name] ?? "";
  }
  headers["content-type"] = "application/json";
  return headers;
}

function keyOf(row: ProviderRow, call: ProviderCall): string {
  const given = call.credential?.reveal().trim() ?? "";
  if (!/^[\x21-\x7e]*$/.test(given)) {
    throw notConfigured(row, `the key of ${row.id} holds characters that no header can carry`);
  }
  return row.key_mark !== undefined && given.startsWith(row.key_mark) ? given.slice(row.key_mark.length) : given;
}
