import { ownOpenAiRow } from "#catalog/catalog.ts";
import type { OpenAiRow } from "#catalog/provider-row.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { decodeText, parseObject } from "../../translate/json-reading.ts";
import { createMessagesOverChat } from "../../translate/messages-over-chat.ts";
import { dataEvent, readEventData } from "../../translate/sse-event.ts";
import { anthropic } from "../anthropic/anthropic.ts";
import { classifyError } from "../openai-compatible/errors.ts";
import { createOpenAiExchange } from "../openai-compatible/exchange.ts";
import { chatBody } from "./chat-body.ts";
import { mayHoldParts, withPlainContent } from "./reasoning-content.ts";
import { providerId, readAddress, readCredential } from "./upstream-request.ts";

/**
 * Databricks' serving endpoints: OpenAI's format, with a token of the workspace's own. What Claude thinks stands in the
 * contents. https://docs.databricks.com/aws/en/machine-learning/foundation-model-apis/api-reference
 */
export const databricks: Provider = {
  id: providerId,
  authorizer: "oauth-token",
  begin: (call) => (call.operation === Operation.MESSAGES ? beginMessages(call) : begin(call)),
  classifyError: (status, headers, body) => classifyError(providerId, status, headers, body),
};

const claude = /claude/i;
/** The names of the models that a workspace serves in Anthropic's own dialect. */
const anthropicModel = /^databricks-claude/;

const template = ownOpenAiRow({
  id: providerId,
  needs_key: false,
  paths: { chat_completions: "chat/completions", completions: "completions", embeddings: "embeddings" },
  renames: [{ from: "max_completion_tokens", to: "max_tokens" }],
  ignored_params: ["metadata", "prompt_cache_key", "safety_identifier", "store", "user"],
});

/** https://docs.databricks.com/aws/en/machine-learning/model-serving/query-anthropic-messages */
function beginMessages(call: ProviderCall): Exchange {
  const { base, path } = readAddress(call);
  if (path !== "" || !anthropicModel.test(call.model)) {
    const upstream = { outputLimitField: "max_tokens", keepsCacheControl: claude.test(call.model) };
    return createMessagesOverChat(call, { id: providerId, upstream, begin });
  }
  const { token, grant } = readCredential(call);
  const headers = token === undefined ? call.headers : { authorization: `Bearer ${token.reveal()}`, ...call.headers };
  const inner = anthropic.begin({ ...call, baseUrl: `${base}/anthropic`, credential: undefined, headers });
  return grant === undefined ? inner : withRequest(inner, { ...inner.request, tokenGrant: grant });
}

function begin(call: ProviderCall): Exchange {
  const { base, path } = readAddress(call);
  const { token, grant } = readCredential(call);
  const isClaude = call.operation === Operation.CHAT_COMPLETIONS && claude.test(call.model);
  const body = isClaude ? chatBody(call) : call.body;
  const inner = createOpenAiExchange(rowOf(isClaude, path), { ...call, body, baseUrl: base, credential: token });
  const request = grant === undefined ? inner.request : { ...inner.request, tokenGrant: grant };
  return isClaude ? claudeExchange(inner, request) : withRequest(inner, request);
}

/** Claude's streams tell their usage unasked, and refuse to be asked. */
function rowOf(isClaude: boolean, path: string): OpenAiRow {
  const paths = path === "" ? template.paths : { chat_completions: path, completions: path, embeddings: path };
  if (!isClaude) return { ...template, paths };
  return {
    ...template,
    paths,
    stream_usage: "always",
    ignored_params: [...template.ignored_params, "stream_options"],
  };
}

function withRequest(inner: Exchange, request: Exchange["request"]): Exchange {
  return {
    request,
    get progress() {
      return inner.progress ?? "open";
    },
    decodeBody: (body) => inner.decodeBody(body),
    decodeEvents: (events) => inner.decodeEvents(events),
    ...(inner.passEvents === undefined ? {} : { passEvents: (events) => inner.passEvents?.(events) }),
    finish: () => inner.finish(),
    outcome: () => inner.outcome(),
  };
}

function claudeExchange(inner: Exchange, request: Exchange["request"]): Exchange {
  return {
    ...withRequest(inner, request),
    get progress() {
      return inner.progress ?? "open";
    },
    decodeBody: (body) => inner.decodeBody(mayHoldParts(body) ? plainBody(body) : body),
    decodeEvents: (events) =>
      inner.decodeEvents(events.map((event) => (mayHoldParts(event) ? plainEvent(event) : event))),
    passEvents: (events) => (events.some(mayHoldParts) ? undefined : inner.passEvents?.(events)),
  };
}

function plainBody(body: Uint8Array): Uint8Array {
  const answer = parseObject(decodeText(body));
  return answer === undefined ? body : Buffer.from(JSON.stringify(withPlainContent(answer)));
}

function plainEvent(event: Uint8Array): Uint8Array {
  const chunk = parseObject(readEventData(event) ?? "");
  return chunk === undefined ? event : dataEvent(JSON.stringify(withPlainContent(chunk)));
}
