/**
 * The names of metrics and attributes that OpenTelemetry has conventions for, in one table:
 * https://opentelemetry.io/docs/specs/semconv/gen-ai/ and https://opentelemetry.io/docs/specs/semconv/http/
 */
export const metricNames = {
  httpDuration: "http.server.request.duration",
  httpActive: "http.server.active_requests",
  genAiDuration: "gen_ai.server.request.duration",
  genAiTimeToFirstToken: "gen_ai.server.time_to_first_token",
  genAiTokens: "gen_ai.client.token.usage",
} as const;

export const attributeNames = {
  httpMethod: "http.request.method",
  httpRoute: "http.route",
  httpStatus: "http.response.status_code",
  operation: "gen_ai.operation.name",
  provider: "gen_ai.provider.name",
  tokenType: "gen_ai.token.type",
  errorType: "error.type",
  urlPath: "url.path",
  rpcMethod: "rpc.method",
  requestModel: "gen_ai.request.model",
  requestMaxTokens: "gen_ai.request.max_tokens",
  responseModel: "gen_ai.response.model",
  responseId: "gen_ai.response.id",
  finishReasons: "gen_ai.response.finish_reasons",
  inputTokens: "gen_ai.usage.input_tokens",
  outputTokens: "gen_ai.usage.output_tokens",
  callId: "sluice.call_id",
  deployment: "sluice.deployment",
  retries: "sluice.retries",
  fallbacks: "sluice.fallbacks",
  costNanoUsd: "sluice.cost_nano_usd",
} as const;

/** Bucket bounds, in seconds, for anything that takes from a millisecond to minutes. */
export const durationBuckets: number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300,
];

/** Bucket bounds for counts of tokens. */
export const tokenBuckets: number[] = [1, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576];
