import { ownOpenAiRow } from "#catalog/catalog.ts";
import { gatewayError } from "#chassis/errors.ts";
import { JsonObjectProblem } from "#chassis/json-members.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { decodeText, objectOf, parseObject } from "../../translate/json-reading.ts";
import { dataEvent, readEventData } from "../../translate/sse-event.ts";
import { toldError } from "../json-answer.ts";
import { BodyEdit, outputLimitFields } from "../openai-compatible/body-edit.ts";
import { applyChatQuirks } from "../openai-compatible/chat-quirks.ts";
import { createOpenAiAnswer } from "../openai-compatible/exchange.ts";
import { modelMembers, upstreamRequest } from "./upstream-request.ts";

/** What of OpenAI's chat IBM does not have. https://cloud.ibm.com/apidocs/watsonx-ai#text-chat */
const quirks = ownOpenAiRow({
  id: "watsonx",
  paths: {},
  ignored_params: [
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "user",
  ],
  unsupported_params: [
    "audio",
    "function_call",
    "functions",
    "modalities",
    "prediction",
    "verbosity",
    "web_search_options",
  ],
});

/**
 * A chat in OpenAI's words, with IBM's for the model, the account and the choice of tools. The answer is OpenAI's; a stream
 * comes as named events, whose usage comes unasked.
 */
export function createChatExchange(call: ProviderCall, provider: string): Exchange {
  const { body, includesUsage, logprobs } = chatBody(call, provider);
  const task = call.stream ? "text/chat_stream" : "text/chat";
  const request = upstreamRequest(call, provider, task, body);
  const inner = createOpenAiAnswer(provider, call.operation, request, !includesUsage, logprobs);
  return {
    request,
    get progress() {
      return inner.progress;
    },
    decodeBody(bytes) {
      const answer = parseObject(decodeText(bytes));
      if (answer === undefined) return inner.decodeBody(bytes);
      const error = toldError(provider, answer);
      if (error !== undefined) throw error;
      if (isNamed(answer)) return inner.decodeBody(bytes);
      const completion = { object: "chat.completion", model: call.model, ...answer };
      return inner.decodeBody(Buffer.from(JSON.stringify(completion)));
    },
    decodeEvents: (events) => inner.decodeEvents(events.flatMap((event) => plainEvent(event, call, provider))),
    finish: () => inner.finish(),
    outcome: () => inner.outcome(),
  };
}

/** An event as OpenAI sends it: without a name and a number, and with the members that a client looks for. */
function plainEvent(event: Uint8Array, call: ProviderCall, provider: string): Uint8Array[] {
  const data = readEventData(event);
  if (data === undefined) return [];
  const chunk = parseObject(data);
  if (chunk === undefined) return [dataEvent(data)];
  const error = toldError(provider, chunk);
  if (error !== undefined) throw error;
  if (isNamed(chunk)) return [dataEvent(data)];
  return [dataEvent(JSON.stringify({ object: "chat.completion.chunk", model: call.model, ...chunk }))];
}

/** Whether an answer says what it is: not every version and model of IBM's does. */
function isNamed({ object, model }: JsonObject): boolean {
  return object !== undefined && model !== undefined;
}

function chatBody(
  call: ProviderCall,
  provider: string,
): { body: Uint8Array; includesUsage: boolean; logprobs: boolean } {
  try {
    const body = new BodyEdit(call);
    const includesUsage = objectOf(body.value("stream_options")).include_usage === true;
    if (call.outputTokenCap !== undefined) {
      body.lowerOutputLimit(outputLimitFields(call.operation, "max_tokens"), call.outputTokenCap);
    }
    const choice = body.value("tool_choice");
    applyChatQuirks({ ...quirks, id: provider }, call, body);
    if (typeof choice === "string") {
      body.set("tool_choice_option", choice);
      body.remove("tool_choice");
    }
    body.remove("model");
    for (const [name, value] of Object.entries(modelMembers(call, provider))) body.set(name, value);
    return { body: body.apply(), includesUsage, logprobs: body.has("logprobs") };
  } catch (error) {
    if (!(error instanceof JsonObjectProblem)) throw error;
    throw gatewayError(Reason.INVALID_REQUEST, `the body is not a JSON object: ${error.message}`);
  }
}
