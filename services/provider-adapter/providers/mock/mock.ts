import { create } from "@bufbuild/protobuf";
import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { JsonObject, JsonValue, LocalAnswer, LocalStep, Outcome, Provider, ProviderCall } from "../../provider.ts";
import { embedContentAsEmbeddings } from "../../translate/gemini-over-embeddings.ts";
import { decodeText, parseObject } from "../../translate/json-reading.ts";
import { classifyError } from "../openai-compatible/errors.ts";
import { chat, completions } from "./chat.ts";
import type { MockDialect } from "./dialect.ts";
import { makeEmbeddings } from "./embeddings.ts";
import { generateContent } from "./generate-content.ts";
import { type Knobs, readKnobs } from "./knobs.ts";
import { messages } from "./messages.ts";
import { type MockReply, makeReply } from "./reply.ts";
import { responses } from "./responses.ts";

const id = "mock";

/**
 * A provider without an upstream: it echoes the last user message, in every dialect, and does what the `mock` object of
 * the body or the model's name asks for (see knobs.ts).
 */
export const mock: Provider = {
  id,
  respondLocally: (call) => answer(id, call, readBody(call)),
  begin() {
    throw gatewayError(Reason.OPERATION_UNSUPPORTED, "the mock provider has no upstream");
  },
  classifyError: (status, headers, body) => classifyError(id, status, headers, body),
};

/**
 * LiteLLM's `mock_response`: the answer that a provider would give if its model said this text. A text that starts with one
 * of LiteLLM's exception names fails as that exception does.
 */
export function mockResponse(provider: string, call: ProviderCall, text: string): LocalAnswer {
  const status = Object.entries(exceptions).find(([name]) => text.startsWith(`litellm.${name}`))?.[1];
  if (status !== undefined) throw failure(provider, status, text, "mock_error");
  return answer(provider, call, { ...readBody(call), mock: { text } });
}

const exceptions: Readonly<Record<string, number>> = {
  AuthenticationError: 401,
  BadRequestError: 400,
  ContentPolicyViolationError: 400,
  ContextWindowExceededError: 400,
  InternalServerError: 500,
  NotFoundError: 404,
  RateLimitError: 429,
  ServiceUnavailableError: 503,
  Timeout: 408,
};

function answer(provider: string, call: ProviderCall, body: JsonObject): LocalAnswer {
  const knobs = readKnobs(call.model, body.mock);
  if (call.operation === Operation.EMBEDDINGS) return embeddingsAnswer(provider, call, body, knobs);
  if (call.operation === Operation.EMBED_CONTENT) {
    const { call: inner, tell } = embedContentAsEmbeddings(call, { id: provider, takesTask: true });
    return embeddingsAnswer(provider, inner, readBody(inner), knobs, tell);
  }
  const dialect = dialectOf(call.operation);
  const reply = makeReply(call, body, knobs);
  const payloads = call.stream ? dialect.events(reply, body) : [encode(dialect.body(reply))];
  return { steps: steps(provider, payloads, call.stream, knobs), outcome: () => outcomeOf(reply) };
}

function embeddingsAnswer(
  provider: string,
  call: ProviderCall,
  body: JsonObject,
  knobs: Knobs,
  tell = (answer: Uint8Array) => answer,
): LocalAnswer {
  const made = makeEmbeddings(call, body);
  const usage = create(UsageSchema, { inputTokens: BigInt(made.tokens) });
  const outcome: Outcome = { usage, finishReason: "", responseModel: call.model, responseId: "" };
  return { steps: steps(provider, [tell(encode(made.body))], false, knobs), outcome: () => outcome };
}

function* steps(provider: string, payloads: Iterable<Uint8Array>, stream: boolean, knobs: Knobs): Generator<LocalStep> {
  const { error } = knobs;
  const failAfter = error === undefined ? Number.POSITIVE_INFINITY : stream ? (error.mid_stream_after ?? 0) : 0;
  let sent = 0;
  for (const payload of payloads) {
    const first = knobs.latency_ms + (stream ? knobs.first_token_ms : 0);
    if (sent >= failAfter) {
      yield { afterMs: sent === 0 ? first : knobs.chunk_interval_ms, payload: new Uint8Array() };
      throw failure(provider, error?.status ?? 500, error?.message ?? "", error?.code ?? "");
    }
    yield { afterMs: sent === 0 ? first : knobs.chunk_interval_ms, payload };
    sent += 1;
  }
}

function failure(provider: string, status: number, message: string, code: string): Error {
  const body = encode({ error: { message, type: "mock_error", param: null, code } });
  return upstreamError(classifyError(provider, status, {}, body));
}

function outcomeOf(reply: MockReply): Outcome {
  return {
    usage: reply.usage,
    finishReason: reply.finishReason,
    responseModel: reply.model,
    responseId: reply.id,
  };
}

function dialectOf(operation: Operation): MockDialect {
  switch (operation) {
    case Operation.CHAT_COMPLETIONS:
      return chat;
    case Operation.COMPLETIONS:
      return completions;
    case Operation.RESPONSES:
      return responses;
    case Operation.MESSAGES:
      return messages;
    case Operation.GENERATE_CONTENT:
      return generateContent;
    default:
      throw gatewayError(Reason.OPERATION_UNSUPPORTED, "the mock provider does not offer this operation");
  }
}

function readBody(call: ProviderCall): JsonObject {
  const body = parseObject(decodeText(call.body));
  if (body === undefined) throw gatewayError(Reason.INVALID_REQUEST, "the body is not a JSON object");
  return { ...call.defaultParams, ...body };
}

function encode(value: JsonValue): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
