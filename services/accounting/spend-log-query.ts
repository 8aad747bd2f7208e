import { createHash } from "node:crypto";
import { gatewayError } from "#chassis/errors.ts";
import type { ListSpendLogsRequest } from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";

/** Which recorded calls are asked for; undefined narrows nothing. */
export interface SpendLogQuery {
  readonly keyId: string | undefined;
  readonly userId: string | undefined;
  readonly requestId: string | undefined;
  readonly fromMs: number | undefined;
  /** The first moment that is no longer asked for. */
  readonly untilMs: number | undefined;
  readonly limit: number;
  /** Sums per day instead of rows; only with both dates. */
  readonly perDay: boolean;
}

const dayMs = 86_400_000;
const defaultLimit = 100;
const maxLimit = 1000;
const maxDays = 366;
const maxText = 1024;

/** Checks what a client asks for. Throws INVALID_ARGUMENT that names the parameter. */
export function readSpendLogQuery(request: ListSpendLogsRequest): SpendLogQuery {
  const fromMs = readDay("start_date", request.startDate);
  const lastMs = readDay("end_date", request.endDate);
  const untilMs = lastMs === undefined ? undefined : lastMs + dayMs;
  const limit = request.limit ?? defaultLimit;
  if (limit < 1 || limit > maxLimit) throw invalid("limit", `limit must be a number from 1 to ${maxLimit}`);
  const dated = fromMs !== undefined && untilMs !== undefined;
  if (dated && untilMs <= fromMs) throw invalid("end_date", "end_date lies before start_date");
  const perDay = dated && request.summarize !== false;
  if (perDay && untilMs - fromMs > maxDays * dayMs) throw invalid("start_date", `at most ${maxDays} days at a time`);
  const key = readText("api_key", request.apiKey);
  return {
    keyId: key?.startsWith("sk-") ? createHash("sha256").update(key).digest("hex") : key,
    userId: readText("user_id", request.userId),
    requestId: readText("request_id", request.requestId),
    fromMs,
    untilMs,
    limit,
    perDay,
  };
}

function readDay(param: string, text: string): number | undefined {
  if (text === "") return undefined;
  const ms = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  if (Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== text) {
    throw invalid(param, `${param} must be a day of the form YYYY-MM-DD`);
  }
  return ms;
}

function readText(param: string, text: string): string | undefined {
  if (text.length > maxText || text.includes("\0") || !text.isWellFormed())
    throw invalid(param, `${param} is malformed`);
  return text === "" ? undefined : text;
}

function invalid(param: string, message: string) {
  return gatewayError(Reason.INVALID_REQUEST, message, { param });
}
