import { ConnectError } from "@connectrpc/connect";
import { findGatewayError, gatewayError } from "#chassis/errors.ts";

/** Parameters of a chat completion or of embeddings, and where Google's clients write them. */
const written: Readonly<Record<string, string>> = {
  dimensions: "outputDimensionality",
  frequency_penalty: "generationConfig.frequencyPenalty",
  input: "content",
  logprobs: "generationConfig.responseLogprobs",
  max_completion_tokens: "generationConfig.maxOutputTokens",
  max_tokens: "generationConfig.maxOutputTokens",
  messages: "contents",
  modalities: "generationConfig.responseModalities",
  n: "generationConfig.candidateCount",
  presence_penalty: "generationConfig.presencePenalty",
  response_format: "generationConfig.responseMimeType",
  seed: "generationConfig.seed",
  stop: "generationConfig.stopSequences",
  temperature: "generationConfig.temperature",
  tool_choice: "toolConfig.functionCallingConfig",
  top_k: "generationConfig.topK",
  top_logprobs: "generationConfig.logprobs",
  top_p: "generationConfig.topP",
};

/** Runs what may refuse a chat completion, and names the parameter that is refused as the client has written it. */
export function namedAsWritten<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    const refusal = error instanceof ConnectError ? findGatewayError(error) : undefined;
    if (!(error instanceof ConnectError) || refusal === undefined) throw error;
    const name = Object.hasOwn(written, refusal.param) ? written[refusal.param] : undefined;
    if (name === undefined) throw error;
    const message = error.rawMessage.replaceAll(`'${refusal.param}'`, `'${name}'`);
    throw gatewayError(refusal.reason, message, { param: name, cause: error });
  }
}
