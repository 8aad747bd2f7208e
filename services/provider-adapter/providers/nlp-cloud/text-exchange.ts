import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { readPromptRequest } from "../../translate/chat-to-prompt/request.ts";
import { createTextExchange, type TextPiece } from "../../translate/chat-to-prompt/text-exchange.ts";
import { countOf } from "../../translate/json-reading.ts";
import { incompleteAnswer } from "../json-answer.ts";
import { providerId, upstreamRequest } from "./upstream-request.ts";

/** OpenAI's parameters under NLP Cloud's names. */
const paramNames = {
  n: "num_return_sequences",
  presence_penalty: "repetition_penalty",
  temperature: "temperature",
  top_p: "top_p",
};

/** A chat, or a legacy completion. The whole text is asked for: a stream is made of it. */
export function createNlpCloudText(call: ProviderCall): Exchange {
  const asked = readPromptRequest(call, providerId, paramNames);
  const body: JsonObject = { text: asked.prompt, remove_input: true, ...asked.params };
  if (asked.limit !== undefined) body.max_length = asked.limit;
  if (asked.stop.length > 0) body.stop_sequences = [...asked.stop];
  return createTextExchange(call, upstreamRequest(call, body), {
    id: providerId,
    readAnswer: readText,
    readEvent: () => undefined,
  });
}

function readText(answer: JsonObject): TextPiece {
  const { generated_text: text } = answer;
  if (typeof text !== "string") throw incompleteAnswer(providerId, answer, 'the answer has no "generated_text"');
  const inputTokens = countOf(answer.nb_input_tokens);
  const outputTokens = countOf(answer.nb_generated_tokens);
  return {
    text,
    finishReason: "stop",
    ...(inputTokens === undefined ? {} : { inputTokens }),
    ...(outputTokens === undefined ? {} : { outputTokens }),
  };
}
