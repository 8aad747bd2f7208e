import type { UpstreamErrorInit } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject } from "../../provider.ts";
import { decodeText, parseObject, textOf } from "../../translate/json-reading.ts";
import { classifyError as classifyPlainError } from "../openai-compatible/errors.ts";

export const providerId = "cohere";

/** Cohere's wording, told by its `message` alone. https://docs.cohere.com/reference/errors */
const phrases: readonly (readonly [RegExp, UpstreamErrorKind])[] = [
  [/too many tokens|total number of tokens/i, UpstreamErrorKind.CONTEXT_WINDOW],
  [/invalid api token|no api key supplied/i, UpstreamErrorKind.AUTHENTICATION],
  [/blocked (?:input|output)/i, UpstreamErrorKind.CONTENT_POLICY],
];

/** Reads a failed answer: `{"id", "message"}`, in some with an `error_type`. */
export function classifyError(
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): UpstreamErrorInit {
  const init = classifyPlainError(providerId, status, headers, body);
  const errorType = textOf(parseObject(decodeText(body))?.error_type);
  const type = init.type || errorType.toLowerCase();
  const known = phrases.find(([phrase]) => phrase.test(init.message));
  // 498 is Cohere's status for input or output that was blocked.
  const kind = status === 400 || status === 498 ? known?.[1] : undefined;
  if (errorType === "TOO_MANY_TOKENS") return { ...init, type, kind: UpstreamErrorKind.CONTEXT_WINDOW };
  return { ...init, type, kind: kind ?? init.kind };
}

/** The model broke off: `finish_reason` is ERROR or TIMEOUT. `words` are Cohere's, empty where it gives none. */
export function brokenOff(finishReason: string, words: string): UpstreamErrorInit {
  const isTimeout = finishReason === "TIMEOUT";
  return {
    kind: isTimeout ? UpstreamErrorKind.TIMEOUT : UpstreamErrorKind.INTERNAL,
    httpStatus: isTimeout ? 504 : 500,
    provider: providerId,
    retryable: true,
    message: words || `Cohere broke the answer off (${finishReason})`,
  };
}

/** An answer that is not what the protocol says: worth another try, because a healthy upstream would not send it. */
export function brokenAnswer(message: string): UpstreamErrorInit {
  return {
    kind: UpstreamErrorKind.BAD_GATEWAY,
    httpStatus: 502,
    provider: providerId,
    retryable: true,
    message,
  };
}

/** An error object in place of an answer, or as an event of a stream. */
export function classifyErrorObject(error: JsonObject): UpstreamErrorInit {
  const status = /rate limit/i.test(textOf(error.message)) ? 429 : 500;
  return classifyError(status, {}, Buffer.from(JSON.stringify(error)));
}
