import { upstreamError } from "#chassis/errors.ts";
import { editJson } from "#chassis/json-members.ts";
import type { ProviderCall, TokenCount } from "../../provider.ts";
import { countOf, decodeText, parseObject } from "../../translate/json-reading.ts";
import { anthropic } from "../anthropic/anthropic.ts";
import { bedrockModel } from "./bedrock-model.ts";
import { brokenAnswer } from "./classify-error.ts";
import { claudeBody } from "./claude-invoke.ts";
import { upstreamRequest } from "./upstream-request.ts";

/** Where inference profiles lead: models are counted by their own id. */
const geography = /^(?:us-gov|us|eu|apac|ap|jp|au|ca|sa|me|global)\./;

/**
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CountTokens.html: Claude's tokens are counted of the
 * body that Invoke would get. Other models have no count, nor have profiles that hide their model.
 */
export function createTokenCount(call: ProviderCall): TokenCount | undefined {
  const model = bedrockModel(call.model);
  if (model.format !== "messages" || model.id.startsWith("arn:")) return undefined;
  const counted = anthropic.countTokens?.({ ...call, credential: undefined, baseUrl: "https://anthropic.invalid" });
  if (counted === undefined) return undefined;
  const { body } = claudeBody(withLimit(counted.request.body), counted.request.headers["anthropic-beta"], model);
  const input = { input: { invokeModel: { body: Buffer.from(body).toString("base64") } } };
  const own = { ...model, id: model.id.replace(geography, "") };
  return {
    request: upstreamRequest({ ...call, stream: false }, own, "count-tokens", Buffer.from(JSON.stringify(input))),
    read(bytes) {
      const tokens = countOf(parseObject(decodeText(bytes))?.inputTokens);
      if (tokens === undefined) throw upstreamError(brokenAnswer("Bedrock's answer is no count of tokens"));
      return tokens;
    },
  };
}

/** A question for a count names no limit, and the body of Invoke needs one. */
function withLimit(body: Uint8Array): Uint8Array {
  return editJson(body, { setIfAbsent: { max_tokens: "1024" } });
}
