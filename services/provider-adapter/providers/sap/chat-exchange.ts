import { ownOpenAiRow } from "#catalog/catalog.ts";
import { upstreamError } from "#chassis/errors.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { decodeText, isObject, objectOf, parseObject } from "../../translate/json-reading.ts";
import { dataEvent, readEventData } from "../../translate/sse-event.ts";
import { protocolError } from "../openai-compatible/answer.ts";
import { errorInAnswer } from "../openai-compatible/errors.ts";
import { createOpenAiExchange } from "../openai-compatible/exchange.ts";
import { orchestrationRequest } from "./chat-request.ts";
import { providerId, upstreamRequest } from "./upstream-request.ts";

const row = ownOpenAiRow({
  id: providerId,
  base_url: "https://sap.invalid",
  needs_key: false,
  paths: { chat_completions: "chat/completions" },
  ignored_params: ["user", "metadata"],
});

/** A chat completion call: OpenAI's request inside SAP's, and OpenAI's answer inside SAP's. */
export function createChatExchange(call: ProviderCall): Exchange {
  const inner = createOpenAiExchange(row, { ...call, baseUrl: "", credential: undefined });
  const chat = parseObject(decodeText(inner.request.body)) ?? {};
  return {
    request: upstreamRequest(call, "/v2/completion", orchestrationRequest(chat, call.model, call.stream)),
    get progress() {
      return inner.progress ?? "open";
    },
    decodeBody: (body) => inner.decodeBody(Buffer.from(JSON.stringify(resultOf(parseEnvelope(decodeText(body)))))),
    decodeEvents: (events) => inner.decodeEvents(events.flatMap(unwrapEvent)),
    finish: () => inner.finish(),
    outcome: () => inner.outcome(),
  };
}

function unwrapEvent(event: Uint8Array): Uint8Array[] {
  const data = readEventData(event);
  if (data === undefined) return [];
  if (data.trim() === "[DONE]") return [event];
  const envelope = parseEnvelope(data);
  // The first events tell what the modules before the model did.
  if (envelope.final_result === undefined && isObject(envelope.intermediate_results)) return [];
  const chunk = resultOf(envelope);
  const isEmpty = Array.isArray(chunk.choices) && chunk.choices.length === 0 && !isObject(chunk.usage);
  return isEmpty ? [] : [dataEvent(JSON.stringify(chunk))];
}

function parseEnvelope(text: string): JsonObject {
  const envelope = parseObject(text);
  if (envelope === undefined) throw protocolError(providerId, "the answer holds something that is no JSON object");
  if (envelope.error !== undefined) throw upstreamError(errorInAnswer(providerId, envelope));
  return envelope;
}

/** The result was called otherwise in the service's first version. */
export function resultOf(envelope: JsonObject): JsonObject {
  const result = objectOf(envelope.final_result ?? envelope.orchestration_result);
  if (Object.keys(result).length === 0) throw protocolError(providerId, "the answer has no result");
  return result;
}
