import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { type PromptRequest, readPromptRequest } from "../../translate/chat-to-prompt/request.ts";
import { renderTurns } from "../../translate/chat-to-prompt/template.ts";
import { createTextExchange } from "../../translate/chat-to-prompt/text-exchange.ts";
import { decodeText, objectOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { isUnderWay, readPrediction, readPredictionEvent } from "./prediction.ts";
import { cancelRequest, idOf, pollRequest, providerId, streamRequest, upstreamRequest } from "./upstream-request.ts";

/** OpenAI's parameters that language models there know, most of them by the same name. */
const paramNames = {
  frequency_penalty: "frequency_penalty",
  presence_penalty: "presence_penalty",
  reasoning_effort: "reasoning_effort",
  seed: "seed",
  temperature: "temperature",
  top_p: "top_p",
  verbosity: "verbosity",
};

/** Models whose limit has another name than `max_tokens`. */
const limitNames: readonly (readonly [RegExp, string])[] = [
  [/^openai\//, "max_completion_tokens"],
  [/^google\//, "max_output_tokens"],
  [/vicuna/i, "max_length"],
  [/llama-2|mistral|mixtral|flan|falcon/i, "max_new_tokens"],
];

/**
 * A chat, or a legacy completion, as a prediction. It is created, and then looked at until it is made; a stream is read
 * from the address that the creation tells, or made of the whole output where the model has no stream.
 */
export function createChatExchange(call: ProviderCall): Exchange {
  const request = upstreamRequest(call, inputOf(call));
  const inner = createTextExchange(call, request, {
    id: providerId,
    readAnswer: readPrediction,
    readEvent: readPredictionEvent,
  });
  let streams = call.stream;
  /** The prediction under way; empty where none is. */
  let running = "";
  return {
    request,
    get progress() {
      return inner.progress;
    },
    decodeBody: (body) => inner.decodeBody(body),
    decodeWhole: (body) => inner.decodeWhole(body),
    decodeEvents: (events) => inner.decodeEvents(events),
    followUp(body) {
      const prediction = parseObject(decodeText(body)) ?? {};
      running = isUnderWay(prediction) ? idOf(prediction) : "";
      const stream = streams ? streamRequest(call, request, textOf(objectOf(prediction.urls).stream)) : undefined;
      // Looked for once: an address that did not stream will not.
      streams = false;
      if (stream !== undefined) return stream;
      return running === "" ? undefined : pollRequest(call, request, running);
    },
    abandon: () => (running === "" || inner.progress !== "open" ? undefined : cancelRequest(call, request, running)),
    finish: () => inner.finish(),
    outcome: () => inner.outcome(),
  };
}

function inputOf(call: ProviderCall): JsonObject {
  const asked = readPromptRequest(call, providerId, paramNames);
  const input: JsonObject = { ...asked.params, ...promptMembers(asked) };
  const limitName = limitNames.find(([pattern]) => pattern.test(call.model))?.[1] ?? "max_tokens";
  if (asked.limit !== undefined) input[limitName] = asked.limit;
  if (asked.stop.length > 0) input.stop_sequences = asked.stop.join(",");
  return input;
}

/** The models put a template of their own around the prompt, and take the system's words beside it. */
function promptMembers({ prompt, turns }: PromptRequest): JsonObject {
  const system = turns.filter(({ role }) => role === "system").map(({ text }) => text);
  const said = turns.filter(({ role }) => role !== "system");
  if (said.length === 0) return { prompt };
  const spoken = renderTurns(said, undefined);
  return system.length === 0 ? { prompt: spoken } : { prompt: spoken, system_prompt: system.join("\n") };
}
