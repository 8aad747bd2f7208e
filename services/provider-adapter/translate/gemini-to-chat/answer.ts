import type { JsonObject } from "../../provider.ts";
import { isObject, listOf, objectOf, objectsOf, textOf, without } from "../json-reading.ts";
import { Candidate, candidateLogprobs } from "./candidate.ts";
import type { GeminiUsage } from "./gemini-usage.ts";
import { type AnswerFrame, callId, legacyDelta } from "./stream.ts";

/**
 * Turns a GenerateContentResponse into a chat completion; undefined where it is none. Every candidate is a choice. Thoughts
 * become `reasoning_content`, images `images`; what a chat message cannot hold travels in `provider_specific_fields`. A
 * refused prompt, which has no candidate, is a choice that ended by `content_filter`.
 */
export function geminiToChatCompletion(
  response: JsonObject,
  usage: GeminiUsage,
  frame: AnswerFrame,
): JsonObject | undefined {
  if (isObject(response.usageMetadata)) usage.read(response.usageMetadata);
  const choices = choicesOf(response, usage, frame);
  if (choices.length === 0) return undefined;
  const completion: JsonObject = {
    id: textOf(response.responseId) || frame.id,
    object: "chat.completion",
    created: frame.createdAt,
    model: textOf(response.modelVersion) || frame.model,
    choices,
    usage: usage.chatUsage(),
  };
  if (usage.serviceTier() !== "") completion.service_tier = usage.serviceTier();
  return completion;
}

function choicesOf(response: JsonObject, usage: GeminiUsage, frame: AnswerFrame): JsonObject[] {
  let calls = 0;
  const nextCallId = () => callId(textOf(response.responseId) || frame.id, calls++);
  const feedback = objectOf(response.promptFeedback);
  const candidates = objectsOf(response.candidates);
  if (candidates.length === 0 && textOf(feedback.blockReason) !== "") {
    const refused = new Candidate(0, nextCallId);
    return [choiceOf(refused, [refused.block(feedback)], null, frame)];
  }
  return candidates.map((candidate, at) => {
    usage.readSearches(listOf(objectOf(candidate.groundingMetadata).webSearchQueries));
    const reader = new Candidate(typeof candidate.index === "number" ? candidate.index : at, nextCallId);
    return choiceOf(reader, reader.push(candidate), candidateLogprobs(candidate) ?? null, frame);
  });
}

function choiceOf(
  candidate: Candidate,
  deltas: readonly JsonObject[],
  logprobs: JsonObject | null,
  { shape, createdAt }: AnswerFrame,
): JsonObject {
  const { finishReason, annotations, providerFields } = candidate.ending();
  const message = messageOf(deltas, createdAt);
  if (annotations.length > 0) message.annotations = annotations;
  if (providerFields !== undefined) message.provider_specific_fields = providerFields;
  const legacy = shape.legacyFunctions && finishReason === "tool_calls";
  return {
    index: candidate.index,
    message: shape.legacyFunctions ? legacyDelta(message) : withoutCallIndexes(message),
    finish_reason: legacy ? "function_call" : finishReason,
    logprobs,
  };
}

/** All deltas of a choice as one message. */
function messageOf(deltas: readonly JsonObject[], createdAt: number): JsonObject {
  const joined = (name: string) => deltas.map((delta) => textOf(delta[name])).join("");
  const gathered = (name: string) => deltas.flatMap((delta) => listOf(delta[name]));
  const content = joined("content");
  const calls = gathered("tool_calls");
  const images = gathered("images");
  const audio = deltas.map((delta) => objectOf(delta.audio)).filter((part) => part.data !== undefined);
  const message: JsonObject = {
    role: "assistant",
    content: content === "" && calls.length > 0 ? null : content,
    refusal: joined("refusal") || null,
  };
  if (joined("reasoning_content") !== "") message.reasoning_content = joined("reasoning_content");
  if (images.length > 0) message.images = images;
  const [sound] = audio;
  if (sound !== undefined) message.audio = { id: `audio_${createdAt}`, expires_at: createdAt, ...sound };
  if (calls.length > 0) message.tool_calls = calls;
  return message;
}

function withoutCallIndexes(message: JsonObject): JsonObject {
  if (message.tool_calls === undefined) return message;
  return { ...message, tool_calls: objectsOf(message.tool_calls).map((call) => without(call, "index")) };
}
