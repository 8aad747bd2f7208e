import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { CallOptions } from "#gen/sluice/inference/v1/inference_pb.ts";
import { invalidRequest, isObject } from "./body-json.ts";

/** What the gateway's own fields and headers of a request amount to. */
export interface GatewayInput {
  readonly options: CallOptions;
  readonly tags: string[];
  endUser: string;
  callId: string;
  /** Names of body members that the client wants taken out before the provider sees them. */
  readonly dropped: string[];
}

/** One body member that LiteLLM's proxy keeps for itself. All of them are cut out of the body. */
export interface GatewayField {
  /** `used`: does what LiteLLM does. `accepted`: nothing is left to do. `refused`: not built; set to a value it is a 400. */
  readonly use: "used" | "accepted" | "refused";
  /** What it does here, or why nothing is to be done. */
  readonly note: string;
  /** Reads a value that is set. Returns false where the member is the provider's own after all and stays in the body. */
  readonly read?: (value: unknown, into: GatewayInput, name: string) => boolean;
}

const maxSeconds = 24 * 3600;

/**
 * The table of body members that the gateway consumes, for all dialects. Whatever is not here is the provider's and
 * passes untouched. `metadata` is both: see `readMetadata`.
 */
export const gatewayFields: ReadonlyMap<string, GatewayField> = new Map(
  Object.entries<GatewayField>({
    num_retries: used("retries of this call", (value, into, name) => {
      into.options.numRetries = readCount(value, name);
    }),
    max_retries: used("another name of num_retries, which wins", (value, into, name) => {
      const count = readCount(value, name);
      into.options.numRetries ??= count;
    }),
    timeout: used("seconds for the whole call", (value, into, name) => {
      into.options.timeout = durationFromMs(readSeconds(value, name) * 1000);
    }),
    stream_timeout: used("seconds to the first payload of a stream", (value, into, name) => {
      into.options.streamTimeout = durationFromMs(readSeconds(value, name) * 1000);
    }),
    fallbacks: used("model groups to try when this one fails, as names or {model}", (value, into, name) => {
      into.options.fallbacks.push(...readFallbacks(value, name));
    }),
    disable_fallbacks: used("switches configured fallbacks off", (value, into, name) => {
      into.options.disableFallbacks = readFlag(value, name);
    }),
    drop_params: used("drops parameters that the provider does not support", (value, into, name) => {
      into.options.dropParams = readFlag(value, name);
    }),
    additional_drop_params: used(
      "top-level members of the body that the provider shall not see",
      (value, into, name) => {
        into.dropped.push(...readMemberNames(value, name));
      },
    ),
    allowed_openai_params: used("passed on although the provider is not known to have them", (value, into, name) => {
      into.options.allowedOpenaiParams.push(...readNames(value, name));
    }),
    mock_response: used("answered with this text, nobody is called", (value, into, name) => {
      into.options.mockResponse = readText(value, name);
    }),
    tags: used("tags of the call for reports and routing", (value, into, name) => {
      into.tags.push(...readNames(value, name));
    }),
    litellm_metadata: used("its tags and user count, the rest is for loggers", (value, into, name) => {
      if (!isObject(value)) throw invalidRequest(`'${name}' must be an object.`, name);
      readTagsOf(value, into, name);
    }),
    metadata: { use: "used", note: "LiteLLM's or the provider's", read: readMetadata },
    litellm_call_id: used("the call's id", (value, into, name) => {
      into.callId = readText(value, name);
    }),
    litellm_trace_id: accepted("for loggers; none is built"),
    litellm_session_id: accepted("for loggers; none is built"),
    litellm_agent_id: accepted("for loggers; none is built"),
    "no-log": accepted("no bodies are logged"),
    cache: accepted("there is no response cache: every answer is fresh"),
    caching: accepted("there is no response cache: every answer is fresh"),
    context_window_fallbacks: refused("fallbacks for one kind of failure; use fallbacks"),
    context_window_fallback_dict: refused("fallbacks for one kind of failure; use fallbacks"),
    content_policy_fallbacks: refused("fallbacks for one kind of failure; use fallbacks"),
    guardrails: refused("guardrails"),
    policies: refused("guardrail policies"),
    priority: refused("the priority queue"),
    fastest_response: refused("racing several models"),
    enable_json_schema_validation: refused("validation of answers"),
    prompt_id: refused("stored prompts"),
    prompt_variables: refused("stored prompts"),
    prompt_version: refused("stored prompts"),
    mock_testing_fallbacks: refused("simulated failures; use the mock provider"),
    mock_testing_context_fallbacks: refused("simulated failures; use the mock provider"),
    mock_testing_content_policy_fallbacks: refused("simulated failures; use the mock provider"),
    mock_testing_rate_limit_error: refused("simulated failures; use the mock provider"),
    mock_timeout: refused("simulated failures; use the mock provider"),
    mock_delay: refused("simulated failures; use the mock provider"),
    user_config: refused("a router configuration of the client's own"),
    api_key: refused("a credential of the client's own"),
    api_base: refused("an address of the client's own"),
    base_url: refused("an address of the client's own"),
    api_version: refused("an address of the client's own"),
    custom_llm_provider: refused("a provider apart from the model's name; write provider/model"),
    input_cost_per_token: refused("a price of the client's own"),
    output_cost_per_token: refused("a price of the client's own"),
  }),
);

function used(note: string, read: (value: unknown, into: GatewayInput, name: string) => void): GatewayField {
  return {
    use: "used",
    note,
    read(value, into, name) {
      read(value, into, name);
      return true;
    },
  };
}

function accepted(note: string): GatewayField {
  return { use: "accepted", note };
}

function refused(note: string): GatewayField {
  return { use: "refused", note };
}

/**
 * OpenAI and Anthropic have `metadata` too, with texts as values: that passes on, and so does LiteLLM's if it holds
 * nothing but texts. With anything else in it (`tags` is a list) only LiteLLM's can be meant, as every provider refuses
 * it, and the whole member is cut. Anthropic's `user_id` names the end user.
 */
function readMetadata(value: unknown, into: GatewayInput, name: string): boolean {
  if (!isObject(value)) throw invalidRequest(`'${name}' must be an object.`, name);
  readTagsOf(value, into, name);
  if (into.endUser === "" && typeof value.user_id === "string") into.endUser = value.user_id;
  return Object.values(value).some((entry) => typeof entry !== "string" && entry !== null);
}

function readTagsOf(metadata: Record<string, unknown>, into: GatewayInput, name: string): void {
  const { tags, user } = metadata;
  if (Array.isArray(tags)) into.tags.push(...readNames(tags, `${name}.tags`));
  if (typeof user === "string") into.endUser = user;
}

export function readCount(value: unknown, name: string): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 1000) return value;
  throw invalidRequest(`'${name}' must be a whole number from 0 to 1000.`, name);
}

export function readSeconds(value: unknown, name: string): number {
  if (typeof value === "number" && value > 0 && value <= maxSeconds) return value;
  throw invalidRequest(`'${name}' must be a number of seconds above 0 and up to ${maxSeconds}.`, name);
}

function readFlag(value: unknown, name: string): boolean {
  if (typeof value === "boolean") return value;
  throw invalidRequest(`'${name}' must be true or false.`, name);
}

function readText(value: unknown, name: string): string {
  if (typeof value === "string") return value;
  throw invalidRequest(`'${name}' must be a string.`, name);
}

function readNames(value: unknown, name: string): string[] {
  if (Array.isArray(value) && value.length <= 100 && value.every((item) => typeof item === "string")) return value;
  throw invalidRequest(`'${name}' must be an array of at most 100 strings.`, name);
}

function readMemberNames(value: unknown, name: string): string[] {
  const names = readNames(value, name);
  const nested = names.find((item) => /[.[\]*]/.test(item));
  if (nested === undefined) return names;
  throw invalidRequest(`'${name}' can name top-level parameters only so far, not '${nested}'.`, name);
}

function readFallbacks(value: unknown, name: string): string[] {
  if (!Array.isArray(value) || value.length > 100) throw invalidRequest(`'${name}' must be an array of models.`, name);
  return value.map((item: unknown) => {
    if (typeof item === "string") return item;
    if (isObject(item) && typeof item.model === "string") {
      const further = Object.keys(item).find((key) => key !== "model");
      if (further === undefined) return item.model;
      throw invalidRequest(`'${name}' cannot change '${further}' of a call so far.`, name);
    }
    throw invalidRequest(`'${name}' must be an array of model names.`, name);
  });
}
