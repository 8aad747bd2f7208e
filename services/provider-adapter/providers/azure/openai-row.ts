import { ownOpenAiRow } from "#catalog/catalog.ts";
import type { OpenAiRow } from "#catalog/provider-row.ts";
import type { AzureCredential } from "./credential.ts";
import type { Endpoint } from "./endpoint.ts";

/** What one call has of its own. */
interface RowChanges {
  readonly id: string;
  readonly endpoint: Endpoint;
  readonly credential: AzureCredential;
  /** The header of a key; a token goes into `authorization`. */
  readonly keyHeader: "api-key" | "authorization";
  /** Whether `stream_options` may be sent. */
  readonly streamUsage: boolean;
  /** The model is one that knows `max_completion_tokens` alone, whatever its deployment is called. */
  readonly isReasoning: boolean;
}

const template = ownOpenAiRow({
  id: "azure",
  base_url: "https://azure.invalid",
  needs_key: false,
  paths: {},
  stream_usage: "option",
  output_limit_field: "max_tokens",
  renames: [{ from: "max_tokens", to: "max_completion_tokens", models: "^(?:o[1-9]|gpt-5)" }],
});

/** The row with which one call goes through the code for OpenAI's format: its address and its header are the call's. */
export function openAiRow({ id, endpoint, credential, keyHeader, streamUsage, isReasoning }: RowChanges): OpenAiRow {
  const { path } = endpoint;
  const header = credential.kind === "key" ? keyHeader : "authorization";
  return {
    ...template,
    id,
    base_url: endpoint.base,
    paths: { chat_completions: path, completions: path, responses: path, embeddings: path },
    key_header: header,
    key_prefix: header === "authorization" ? "Bearer " : "",
    stream_usage: streamUsage ? "option" : "always",
    renames: isReasoning ? template.renames.map(({ from, to }) => ({ from, to })) : template.renames,
  };
}
