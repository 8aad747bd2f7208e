import { upstreamError } from "#chassis/errors.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { readPromptRequest } from "../../translate/chat-to-prompt/request.ts";
import { createTextExchange, type TextPiece } from "../../translate/chat-to-prompt/text-exchange.ts";
import { countOf, objectOf, objectsOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { readEventData } from "../../translate/sse-event.ts";
import { incompleteAnswer } from "../json-answer.ts";
import { protocolError } from "../openai-compatible/answer.ts";
import { errorInAnswer } from "../openai-compatible/errors.ts";
import { providerId, upstreamRequest } from "./upstream-request.ts";

/** OpenAI's parameters under Mistral's names. */
const paramNames = { seed: "random_seed", suffix: "suffix", temperature: "temperature", top_p: "top_p" };

/** A legacy completion, answered in the form of a chat. */
export function createFimExchange(call: ProviderCall): Exchange {
  const asked = readPromptRequest(call, providerId, paramNames);
  const body: JsonObject = { model: call.model, prompt: asked.prompt, stream: call.stream, ...asked.params };
  if (asked.limit !== undefined) body.max_tokens = asked.limit;
  if (asked.stop.length > 0) body.stop = [...asked.stop];
  return createTextExchange(call, upstreamRequest(call, body), { id: providerId, readAnswer, readEvent });
}

function readAnswer(answer: JsonObject): TextPiece {
  const [choice] = objectsOf(answer.choices);
  if (choice === undefined) throw incompleteAnswer(providerId, answer, "the answer has no choice");
  return pieceOf(answer, choice, objectOf(choice.message));
}

function readEvent(event: Uint8Array): TextPiece | undefined {
  const data = readEventData(event);
  if (data === undefined || data.trim() === "[DONE]") return undefined;
  const chunk = parseObject(data);
  if (chunk === undefined) throw protocolError(providerId, "the stream holds something that is no JSON object");
  if (chunk.error !== undefined || chunk.object === "error") throw upstreamError(errorInAnswer(providerId, chunk));
  const [choice] = objectsOf(chunk.choices);
  return choice === undefined ? undefined : pieceOf(chunk, choice, objectOf(choice.delta));
}

function pieceOf({ usage }: JsonObject, choice: JsonObject, said: JsonObject): TextPiece {
  const inputTokens = countOf(objectOf(usage).prompt_tokens);
  const outputTokens = countOf(objectOf(usage).completion_tokens);
  return {
    text: textOf(said.content) || textOf(choice.text),
    finishReason: textOf(choice.finish_reason),
    ...(inputTokens === undefined ? {} : { inputTokens }),
    ...(outputTokens === undefined ? {} : { outputTokens }),
  };
}
