import { ownOpenAiRow } from "#catalog/catalog.ts";

export const providerId = "snowflake";

/** How Snowflake's Cortex speaks OpenAI's format. */
export const snowflakeRow = ownOpenAiRow({
  id: providerId,
  base_url: "https://{account_id}.snowflakecomputing.com/api/v2",
  key_variables: ["SNOWFLAKE_JWT"],
  key_mark: "pat/",
  settings: [{ name: "account_id", variables: ["SNOWFLAKE_ACCOUNT_ID"] }],
  paths: { chat_completions: "cortex/v1/chat/completions", embeddings: "cortex/inference:embed" },
  renames: [{ from: "max_tokens", to: "max_completion_tokens" }],
  output_limit_field: "max_completion_tokens",
});
