import type { UpstreamErrorInit } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { decodeText, objectOf, parseObject } from "../../translate/json-reading.ts";
import { classifyError as classifyOpenAiError } from "../openai-compatible/errors.ts";

/** https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter */
const contentPolicy = /content management policy|ResponsibleAIPolicyViolation/i;

/**
 * Reads a failed answer: OpenAI's shape with Azure's codes, or what stands in front of it. A prompt that the content
 * filter refuses is told by `innererror.code` where the code is a general one.
 */
export function classifyError(
  provider: string,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): UpstreamErrorInit {
  const init = classifyOpenAiError(provider, status, headers, body);
  const { innererror } = objectOf(parseObject(decodeText(body))?.error);
  const isFiltered = status === 400 && contentPolicy.test(`${init.message} ${JSON.stringify(innererror ?? "")}`);
  return isFiltered ? { ...init, kind: UpstreamErrorKind.CONTENT_POLICY, retryable: false } : init;
}
