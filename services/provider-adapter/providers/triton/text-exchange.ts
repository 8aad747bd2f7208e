import type { Exchange, JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
import { readPromptRequest } from "../../translate/chat-to-prompt/request.ts";
import { createTextExchange, type TextPiece } from "../../translate/chat-to-prompt/text-exchange.ts";
import { objectsOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { readEventData } from "../../translate/sse-event.ts";
import { incompleteAnswer } from "../json-answer.ts";
import { protocolError } from "../openai-compatible/answer.ts";
import { isTensorAddress, providerId, upstreamRequest } from "./upstream-request.ts";

/** LiteLLM's; the server's own limit is 16 tokens. */
const defaultLimit = 2000;

/** OpenAI's parameters that the usual models take under the same name. */
const paramNames = {
  frequency_penalty: "frequency_penalty",
  presence_penalty: "presence_penalty",
  seed: "seed",
  temperature: "temperature",
  top_p: "top_p",
};

/** A chat, or a legacy completion, of a model that continues texts. It counts no tokens. */
export function createTritonText(call: ProviderCall): Exchange {
  const asked = readPromptRequest(call, providerId, paramNames);
  const params: JsonObject = { max_tokens: asked.limit ?? Math.min(defaultLimit, call.outputTokenCap ?? defaultLimit) };
  Object.assign(params, asked.params);
  if (asked.stop.length > 0) params.stop_words = [...asked.stop];
  if (isTensorAddress(call)) return tensorExchange(call, asked.prompt, params);
  const method = call.stream ? "generate_stream" : "generate";
  const body = { text_input: asked.prompt, parameters: params, stream: call.stream };
  return createTextExchange(call, upstreamRequest(call, method, body), {
    id: providerId,
    readAnswer: readText,
    readEvent,
    endsUnannounced: true,
  });
}

function readText(answer: JsonObject): TextPiece {
  const { text_output: output } = answer;
  if (typeof output !== "string") throw incompleteAnswer(providerId, answer, 'the answer has no "text_output"');
  return { text: output, finishReason: "" };
}

function readEvent(event: Uint8Array): TextPiece | undefined {
  const data = readEventData(event);
  if (data === undefined || data.trim() === "[DONE]") return undefined;
  const answer = parseObject(data);
  if (answer === undefined) throw protocolError(providerId, "the stream holds something that is no JSON object");
  return readText(answer);
}

/** A model asked by tensors has no stream: a stream is made of the whole answer. */
function tensorExchange(call: ProviderCall, prompt: string, params: JsonObject): Exchange {
  const inputs = [tensor("text_input", prompt), ...Object.entries(params).map(([name, value]) => tensor(name, value))];
  return createTextExchange(call, upstreamRequest(call, "infer", { inputs }), {
    id: providerId,
    readAnswer: readTensor,
    readEvent: () => undefined,
  });
}

/** https://github.com/kserve/kserve/blob/master/docs/predict-api/v2/required_api.md#inference-request-json-object */
function tensor(name: string, value: JsonValue): JsonObject {
  const data = Array.isArray(value) ? value : [value];
  return { name, shape: [data.length], datatype: datatypeOf(data[0]), data };
}

function datatypeOf(value: JsonValue | undefined): string {
  if (typeof value === "boolean") return "BOOL";
  if (typeof value !== "number") return "BYTES";
  return Number.isInteger(value) ? "INT32" : "FP32";
}

function readTensor(answer: JsonObject): TextPiece {
  const outputs = objectsOf(answer.outputs);
  const output = outputs.find(({ name }) => name === "text_output") ?? outputs[0];
  if (!Array.isArray(output?.data)) throw incompleteAnswer(providerId, answer, "the answer has no output");
  return { text: output.data.map(textOf).join(""), finishReason: "stop" };
}
