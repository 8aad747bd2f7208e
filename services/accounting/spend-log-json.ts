import type { SpendLogRow } from "./db/entities.ts";
import type { DaySum } from "./db/spend-log-reads.ts";

type JsonRow = Record<string, unknown>;

/** What LiteLLM calls the operations in `call_type`. */
const callTypes: Readonly<Record<string, string>> = {
  chat_completions: "acompletion",
  completions: "atext_completion",
  responses: "aresponses",
  messages: "anthropic_messages",
  embeddings: "aembedding",
};

/** A recorded call in LiteLLM's columns, followed by the gateway's own. */
export function spendLogJson(row: SpendLogRow): JsonRow {
  const cached = row.cacheReadTokens;
  const prompt = row.inputTokens + cached + row.cacheWriteTokens + row.cacheWrite1hTokens;
  return {
    request_id: row.callId,
    call_type: callTypes[row.operation] ?? row.operation,
    api_key: row.keyId,
    spend: usdNumber(row.costNanoUsd),
    total_tokens: Number(prompt + row.outputTokens),
    prompt_tokens: Number(prompt),
    completion_tokens: Number(row.outputTokens),
    startTime: row.startedAt.toISOString(),
    endTime: row.endedAt.toISOString(),
    completionStartTime: row.firstPayloadAt?.toISOString() ?? null,
    model: row.upstreamModel,
    model_id: row.deployment,
    model_group: row.modelGroup,
    custom_llm_provider: row.provider,
    api_base: "",
    user: row.userId,
    metadata: metadata(row),
    cache_hit: "False",
    request_tags: row.tags,
    team_id: orNull(row.teamId),
    end_user: row.endUser,
    status: row.status === "success" ? "success" : "failure",
    session_id: null,
    ...ownColumns(row),
  };
}

function metadata(row: SpendLogRow): JsonRow {
  return {
    user_api_key: row.keyId,
    user_api_key_alias: orNull(row.keyAlias),
    user_api_key_user_id: orNull(row.userId),
    user_api_key_team_id: orNull(row.teamId),
    attempted_retries: row.attemptedRetries,
    attempted_fallbacks: row.attemptedFallbacks,
  };
}

function ownColumns(row: SpendLogRow): JsonRow {
  return {
    record_id: row.recordId,
    requested_model: row.model,
    upstream_model: row.upstreamModel,
    deployment: row.deployment,
    stream: row.stream,
    usage_status: row.status,
    cost_nano_usd: Number(row.costNanoUsd),
    cost_state: row.costState,
    cached_tokens: Number(row.cacheReadTokens),
    cache_write_tokens: Number(row.cacheWriteTokens + row.cacheWrite1hTokens),
    reasoning_tokens: Number(row.reasoningTokens),
    usage_estimated: row.usageEstimated,
    finish_reason: orNull(row.finishReason),
  };
}

/** Sums per day, in LiteLLM's form: the spend of every key stands under the key's hash, beside the fixed names. */
export function daySumsJson(sums: readonly DaySum[]): JsonRow[] {
  const days = new Map<string, DaySpend>();
  for (const { day, keyId, userId, model, nanoUsd } of sums) {
    const spend = days.get(day) ?? { total: 0n, users: new Map(), models: new Map(), keys: new Map() };
    days.set(day, spend);
    spend.total += nanoUsd;
    add(spend.users, userId, nanoUsd);
    add(spend.models, model, nanoUsd);
    add(spend.keys, keyId, nanoUsd);
  }
  return [...days].map(([day, spend]) => ({
    ...usdByName(spend.keys),
    startTime: day,
    spend: usdNumber(spend.total),
    users: usdByName(spend.users),
    models: usdByName(spend.models),
  }));
}

interface DaySpend {
  total: bigint;
  readonly users: Map<string, bigint>;
  readonly models: Map<string, bigint>;
  readonly keys: Map<string, bigint>;
}

function add(sums: Map<string, bigint>, name: string, nanoUsd: bigint): void {
  sums.set(name, (sums.get(name) ?? 0n) + nanoUsd);
}

function usdByName(sums: ReadonlyMap<string, bigint>): JsonRow {
  return Object.fromEntries([...sums].map(([name, nano]) => [name, usdNumber(nano)]));
}

/** US dollars; this number is for display, sums are made of nano-USD. */
function usdNumber(nano: bigint): number {
  return Number(nano) / 1e9;
}

function orNull(text: string): string | null {
  return text === "" ? null : text;
}
