import type { Exchange, JsonObject, Provider, ProviderCall } from "../../provider.ts";
import { readPromptRequest } from "../../translate/chat-to-prompt/request.ts";
import { createTextExchange, type TextPiece } from "../../translate/chat-to-prompt/text-exchange.ts";
import { countOf, objectOf, objectsOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { readEventData } from "../../translate/sse-event.ts";
import { createChatProvider } from "../chat-provider.ts";
import { incompleteAnswer } from "../json-answer.ts";
import { protocolError } from "../openai-compatible/answer.ts";
import { modelMembers, upstreamRequest } from "../watsonx/upstream-request.ts";

const providerId = "watsonx_text";

/** IBM's names of OpenAI's parameters. https://cloud.ibm.com/apidocs/watsonx-ai#text-generation */
const paramNames = {
  seed: "random_seed",
  temperature: "temperature",
  top_p: "top_p",
};

/** Members of a body beside its `parameters`. */
const topLevel: ReadonlySet<string> = new Set(["moderations"]);

/** Why a text ended, in OpenAI's words; every other reason is `stop`. */
const finishReasons: Readonly<Record<string, string>> = {
  not_finished: "",
  max_tokens: "length",
  token_limit: "length",
  time_limit: "length",
};

/** The text generation of IBM watsonx.ai, for models that continue a text. */
export const watsonxText: Provider = createChatProvider({
  id: providerId,
  authorizer: "oauth-token",
  upstream: { outputLimitField: "max_tokens" },
  chat: beginText,
  completions: beginText,
});

function beginText(call: ProviderCall): Exchange {
  const task = call.stream ? "text/generation_stream" : "text/generation";
  const request = upstreamRequest(call, providerId, task, textBody(call));
  return createTextExchange(call, request, { id: providerId, readAnswer, readEvent });
}

function textBody(call: ProviderCall): JsonObject {
  const { prompt, limit, stop, params } = readPromptRequest(call, providerId, paramNames);
  const beside = Object.entries(params).filter(([name]) => topLevel.has(name));
  const parameters = Object.fromEntries(Object.entries(params).filter(([name]) => !topLevel.has(name)));
  if (limit !== undefined) parameters.max_new_tokens ??= limit;
  if (stop.length > 0) parameters.stop_sequences = [...stop];
  // Without this a model takes the likeliest token every time, whatever the temperature is.
  if (parameters.temperature !== undefined || parameters.top_p !== undefined) parameters.decoding_method ??= "sample";
  return { ...modelMembers(call, providerId), input: prompt, parameters, ...Object.fromEntries(beside) };
}

function readAnswer(answer: JsonObject): TextPiece {
  const [result] = objectsOf(answer.results);
  if (result === undefined) throw incompleteAnswer(providerId, answer, "the answer has no results");
  const reason = textOf(result.stop_reason).toLowerCase();
  if (reason === "error") throw protocolError(providerId, "the model broke the text off");
  const inputTokens = countOf(result.input_token_count);
  const outputTokens = countOf(result.generated_token_count);
  return {
    text: textOf(result.generated_text),
    finishReason: (Object.hasOwn(finishReasons, reason) ? finishReasons[reason] : undefined) ?? "stop",
    // The first event of a stream counts the input, the others count 0.
    ...(inputTokens === undefined || inputTokens === 0 ? {} : { inputTokens }),
    ...(outputTokens === undefined ? {} : { outputTokens }),
  };
}

function readEvent(event: Uint8Array): TextPiece | undefined {
  const data = readEventData(event);
  if (data === undefined || data.trim() === "[DONE]") return undefined;
  const answer = parseObject(data);
  if (answer === undefined) throw protocolError(providerId, "the stream holds something that is no JSON object");
  const hasResult = objectsOf(answer.results).length > 0 || Array.isArray(answer.errors);
  return hasResult ? readAnswer(objectOf(answer)) : undefined;
}
