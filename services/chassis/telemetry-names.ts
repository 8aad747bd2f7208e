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
} as const;

/** Bucket bounds, in seconds, for anything that takes from a millisecond to minutes. */
export const durationBuckets: number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300,
];

/** Bucket bounds for counts of tokens. */
export const tokenBuckets: number[] = [1, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576];
