import type { IncomingHttpHeaders } from "node:http";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { CallOptionsSchema } from "#gen/sluice/inference/v1/inference_pb.ts";
import { invalidRequest, type JsonObject } from "./body-json.ts";
import { type GatewayInput, gatewayFields, readCount, readSeconds } from "./gateway-fields.ts";
import { isUnset } from "./unset.ts";

/** What the gateway takes from a request, and which body members it takes out. */
export interface ConsumedInput {
  readonly input: GatewayInput;
  /** Members to cut from the body, as they are written there. Empty for most calls. */
  readonly removed: readonly string[];
}

/**
 * Reads the gateway's own body members and headers; a header wins. Members that the provider shall not see
 * (`additional_drop_params`) are deleted from the parsed body too, so that nobody counts on them.
 */
export function readGatewayInput(body: JsonObject, headers: IncomingHttpHeaders): ConsumedInput {
  const input: GatewayInput = {
    options: {
      $typeName: CallOptionsSchema.typeName,
      fallbacks: [],
      disableFallbacks: false,
      allowedOpenaiParams: [],
    },
    tags: [],
    endUser: typeof body.user === "string" ? body.user : "",
    callId: "",
    dropped: [],
  };
  const removed: string[] = [];
  for (const name in body) {
    const field = gatewayFields.get(name);
    if (field === undefined) continue;
    const value = body[name];
    if (value === null) removed.push(name);
    else if (field.use === "refused" && !isUnset(value)) {
      throw invalidRequest(`'${name}' is not supported yet: ${field.note}.`, name);
    } else if (field.read?.(value, input, name) ?? true) removed.push(name);
  }
  for (const name of input.dropped) {
    delete body[name];
    removed.push(name);
  }
  readHeaders(headers, input);
  return { input, removed };
}

function readHeaders(headers: IncomingHttpHeaders, into: GatewayInput): void {
  const { options } = into;
  const retries = header(headers, "x-litellm-num-retries");
  if (retries !== undefined) options.numRetries = readCount(Number(retries), "x-litellm-num-retries");
  const timeout = header(headers, "x-litellm-timeout");
  if (timeout !== undefined) {
    options.timeout = durationFromMs(readSeconds(Number(timeout), "x-litellm-timeout") * 1000);
  }
  const streamTimeout = header(headers, "x-litellm-stream-timeout");
  if (streamTimeout !== undefined) {
    options.streamTimeout = durationFromMs(readSeconds(Number(streamTimeout), "x-litellm-stream-timeout") * 1000);
  }
  const tags = header(headers, "x-litellm-tags");
  if (tags !== undefined) into.tags.push(...tags.split(",").flatMap((tag) => tag.trim() || []));
  const endUser = header(headers, "x-litellm-customer-id") ?? header(headers, "x-litellm-end-user-id");
  if (endUser !== undefined) into.endUser = endUser;
}

function header(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}
