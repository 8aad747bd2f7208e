import { ownOpenAiRow } from "#catalog/catalog.ts";
import type { Exchange, ProviderCall } from "../../provider.ts";
import { SseSplitter } from "../../sse.ts";
import type { AwsService } from "../aws-errors.ts";
import { createOpenAiExchange } from "../openai-compatible/exchange.ts";
import { readPart } from "./payload-parts.ts";
import { upstreamRequest } from "./upstream-request.ts";

/** Never spoken to: the request is sent to the endpoint's address. */
const placeholder = "https://openai.invalid";

const row = ownOpenAiRow({
  id: "sagemaker_chat",
  base_url: placeholder,
  needs_key: false,
  paths: { chat_completions: "chat/completions" },
});

/**
 * A chat completion passed through to an endpoint whose server speaks OpenAI's format. Its events come in the frames of
 * AWS, cut up anywhere.
 */
export function createOpenAiEndpointExchange(call: ProviderCall, service: AwsService): Exchange {
  const { authorization: _, ...headers } = call.headers;
  const inner = createOpenAiExchange(row, { ...call, headers, baseUrl: placeholder, credential: undefined });
  const splitter = new SseSplitter();
  return {
    request: upstreamRequest(call, inner.request.body),
    framing: "aws-eventstream",
    get progress() {
      return inner.progress ?? "open";
    },
    decodeBody: (body) => inner.decodeBody(body),
    decodeEvents: (frames) => frames.flatMap((frame) => inner.decodeEvents(splitter.push(readPart(service, frame)))),
    finish() {
      const rest = splitter.end();
      return [...(rest === undefined ? [] : inner.decodeEvents([rest])), ...inner.finish()];
    },
    outcome: () => inner.outcome(),
  };
}
