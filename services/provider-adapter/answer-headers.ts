/** Headers of a provider that a client can use, beside the rate limits. */
const useful = new Set(["x-request-id", "request-id", "retry-after", "x-should-retry", "x-groq-region"]);
const usefulPrefixes = ["x-ratelimit-", "anthropic-ratelimit-", "openai-"];
const rateLimitPrefix = "x-ratelimit-";

/** The headers for the client: the provider's, prefixed `llm_provider-`, and its rate limits under their own names too. */
export function headersForClient(headers: Readonly<Record<string, string>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || !(useful.has(name) || usefulPrefixes.some((prefix) => name.startsWith(prefix))))
      continue;
    kept[`llm_provider-${name}`] = value;
    if (name.startsWith(rateLimitPrefix)) kept[name] = value;
  }
  return kept;
}
