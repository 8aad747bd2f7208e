/** Headers of a provider that a client can use, beside the rate limits. */
const useful = new Set(["x-request-id", "request-id", "retry-after", "x-should-retry", "x-groq-region"]);
const rateLimitPrefix = "x-ratelimit-";

/** The headers for the client: the provider's, prefixed `llm_provider-`, and its rate limits under their own names too. */
export function headersForClient(headers: Readonly<Record<string, string>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || !isUseful(name)) continue;
    kept[`llm_provider-${name}`] = value;
    if (name.startsWith(rateLimitPrefix)) kept[name] = value;
  }
  return kept;
}

function isUseful(name: string): boolean {
  if (useful.has(name) || name.startsWith(rateLimitPrefix)) return true;
  return name.startsWith("anthropic-ratelimit-") || name.startsWith("openai-");
}
