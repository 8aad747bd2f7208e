import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { anthropic } from "../anthropic/anthropic.ts";
import { createOpenAiCompatibleProvider } from "../openai-compatible/provider.ts";
import { buildRequest } from "../openai-compatible/request.ts";
import { createEmbeddingsExchange } from "./embeddings-exchange.ts";
import { providerId, snowflakeRow } from "./snowflake-row.ts";

const chats = createOpenAiCompatibleProvider(snowflakeRow);

/** The header that tells what kind of token it is; Snowflake finds it out where it is missing. */
const kindHeader = "x-snowflake-authorization-token-type";

/** The models that speak Anthropic's dialect too. */
const claude = /^claude/;

/**
 * Snowflake Cortex: chats in OpenAI's format, Claude in Anthropic's, embeddings in its own.
 * https://docs.snowflake.com/user-guide/snowflake-cortex/cortex-rest-api
 */
export const snowflake: Provider = {
  id: providerId,
  begin(call) {
    const own = withTokenKind({ ...call, baseUrl: rootOf(call.baseUrl) });
    if (own.operation === Operation.EMBEDDINGS) return beginEmbeddings(own);
    return own.operation === Operation.MESSAGES && claude.test(own.model) ? beginMessages(own) : chats.begin(own);
  },
  classifyError: chats.classifyError,
};

function beginEmbeddings(call: ProviderCall): Exchange {
  return createEmbeddingsExchange(
    call,
    (body) => buildRequest(snowflakeRow, { ...call, body, defaultParams: {} }).request,
  );
}

/** The key and the address are those of a chat. */
function beginMessages(call: ProviderCall): Exchange {
  const chat = { ...call, operation: Operation.CHAT_COMPLETIONS, body: Buffer.from("{}"), defaultParams: {} };
  const { url, headers } = buildRequest(snowflakeRow, chat).request;
  const { authorization = "" } = headers;
  return anthropic.begin({
    ...call,
    baseUrl: url.replace(/chat\/completions$/, "messages"),
    credential: undefined,
    headers: authorization === "" ? call.headers : { authorization, ...call.headers },
  });
}

/** The address that LiteLLM's users know ends with an endpoint. */
function rootOf(baseUrl: string): string {
  return baseUrl.replace(/\/cortex(?:\/.*)?$/, "");
}

/** LiteLLM's mark says that it is a programmatic access token. */
function withTokenKind(call: ProviderCall): ProviderCall {
  const isMarked = call.credential?.reveal().trim().startsWith("pat/") === true;
  return isMarked ? { ...call, headers: { [kindHeader]: "PROGRAMMATIC_ACCESS_TOKEN", ...call.headers } } : call;
}
