import { upstreamError } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { eventName } from "../../sse.ts";
import type { TextPiece } from "../../translate/chat-to-prompt/text-exchange.ts";
import { countOf, objectOf, textOf } from "../../translate/json-reading.ts";
import { readEventData } from "../../translate/sse-event.ts";
import { protocolError } from "../openai-compatible/answer.ts";
import { providerId } from "./upstream-request.ts";

/** Whether a prediction is neither made nor given up. https://replicate.com/docs/topics/predictions/lifecycle */
export function isUnderWay({ status }: JsonObject): boolean {
  return status === "starting" || status === "processing";
}

/** Reads a prediction that is made: its output is a text, or a list of pieces of one. */
export function readPrediction(prediction: JsonObject): TextPiece {
  if (prediction.status !== "succeeded") throw failedPrediction(prediction);
  const metrics = objectOf(prediction.metrics);
  const inputTokens = countOf(metrics.input_token_count);
  const outputTokens = countOf(metrics.output_token_count);
  return {
    text: outputText(prediction.output),
    finishReason: "stop",
    ...(inputTokens === undefined ? {} : { inputTokens }),
    ...(outputTokens === undefined ? {} : { outputTokens }),
  };
}

function outputText(output: JsonValue | undefined): string {
  if (typeof output === "string") return output;
  if (Array.isArray(output) && output.every((piece) => typeof piece === "string")) return output.join("");
  throw protocolError(providerId, "the model's output is no text");
}

/** Reads an event of a stream: `output`, `error` or `done`. https://replicate.com/docs/topics/predictions/streaming */
export function readPredictionEvent(event: Uint8Array): TextPiece | undefined {
  const data = readEventData(event) ?? "";
  switch (eventName(event)) {
    case "output":
      return { text: data, finishReason: "" };
    case "error":
      throw failure(data);
    case "done":
      return donePiece(data);
    default:
      return undefined;
  }
}

function donePiece(data: string): TextPiece {
  if (/"reason":\s*"(?:error|canceled)"/.test(data)) throw failure("the prediction was broken off");
  return { text: "", finishReason: "stop" };
}

function failedPrediction({ status, error, detail }: JsonObject): Error {
  if (status === "failed" || status === "canceled" || status === "aborted") {
    return failure(textOf(error) || `the prediction was ${status}`);
  }
  const told = textOf(detail) || textOf(error);
  return protocolError(providerId, told === "" ? "the answer is no prediction" : told);
}

/** A model failed; what was wrong is told in its own words. */
function failure(message: string): Error {
  const isInput = /input validation|prompt (?:length|is too long)|context (?:length|window)/i.test(message);
  return upstreamError({
    kind: isInput ? UpstreamErrorKind.BAD_REQUEST : UpstreamErrorKind.INTERNAL,
    httpStatus: isInput ? 400 : 500,
    provider: providerId,
    retryable: !isInput,
    message: `${providerId}: ${message.slice(0, 1000)}`,
  });
}
