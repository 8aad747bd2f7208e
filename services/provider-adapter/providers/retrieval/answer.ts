import { create } from "@bufbuild/protobuf";
import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason, UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { type Usage, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { JsonObject, ProviderCall } from "../../provider.ts";
import { countOf, decodeText, objectOf, parseObject } from "../../translate/json-reading.ts";
import { errorInAnswer } from "../openai-compatible/errors.ts";

/** The client's body over the deployment's parameters. */
export function askedOf(call: ProviderCall): JsonObject {
  const client = parseObject(decodeText(call.body));
  if (client === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
  return { ...call.defaultParams, ...client };
}

/** The answer, which has a list of this name. Throws where it is an error, or none. */
export function answerOf(provider: string, body: Uint8Array, list: string): JsonObject {
  const answer = parseObject(decodeText(body));
  if (answer !== undefined && Array.isArray(answer[list])) return answer;
  if (answer?.error !== undefined || answer?.detail !== undefined) throw upstreamError(errorInAnswer(provider, answer));
  throw upstreamError({
    kind: UpstreamErrorKind.BAD_GATEWAY,
    httpStatus: 502,
    provider,
    retryable: true,
    message: `${provider}: the answer has no "${list}"`,
  });
}

/** All tokens are input. */
export function tokensOf(answer: JsonObject): number | undefined {
  const usage = objectOf(answer.usage);
  return countOf(usage.total_tokens) ?? countOf(usage.prompt_tokens);
}

export function usageOf(tokens: number | undefined): Usage {
  return create(UsageSchema, { inputTokens: BigInt(tokens ?? 0), estimated: tokens === undefined });
}
