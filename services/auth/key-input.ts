import { addDuration, parseDuration } from "#chassis/duration.ts";
import { gatewayError } from "#chassis/errors.ts";
import { errorText } from "#chassis/log.ts";
import type { GenerateKeyRequest } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { VirtualKeyRow } from "./db/entities.ts";
import { readMetadata } from "./metadata.ts";
import { keyForm } from "./secret-key.ts";

/** What a request says about a key, checked. */
export type KeyInput = Omit<
  VirtualKeyRow,
  "keyId" | "keyName" | "createdAt" | "createdBy" | "updatedAt" | "version" | "expiresAt"
> & {
  /** Undefined means a random one. */
  readonly key: string | undefined;
  readonly expiresAt: Date | null;
};

const maxText = 256;
const maxModels = 1000;
/** Names with a meaning of their own, for teams and users with model rights. */
const unbuiltModels: ReadonlySet<string> = new Set(["all-team-models", "no-default-models"]);
const maxInt = 2_147_483_647n;
const maxSafe = BigInt(Number.MAX_SAFE_INTEGER);

/** Checks a request, `now` being the moment the lifetime starts. @throws INVALID_REQUEST that names the field. */
export function readKeyInput(request: GenerateKeyRequest, now: Date): KeyInput {
  if ((request.spend ?? 0n) !== 0n) throw invalid("spend", "cannot be set yet: a key starts with 0");
  if (!["", "default"].includes(request.keyType ?? "")) throw invalid("key_type", "can only be 'default' yet");
  const rpmLimit = limit("rpm_limit", request.rpmLimit, maxInt);
  const maxParallelRequests = limit("max_parallel_requests", request.maxParallelRequests, maxInt);
  return {
    key: readKey(request.key),
    keyAlias: label("key_alias", request.keyAlias),
    userId: label("user_id", request.userId),
    teamId: label("team_id", request.teamId),
    models: readModels(request.models),
    metadata: readMetadata(request.metadata),
    expiresAt: readExpiry(request.duration, now),
    maxBudgetNanoUsd: limit("max_budget", request.maxBudget, undefined),
    budgetDuration: readBudgetDuration(request.budgetDuration),
    rpmLimit: rpmLimit === null ? null : Number(rpmLimit),
    tpmLimit: limit("tpm_limit", request.tpmLimit, maxSafe),
    maxParallelRequests: maxParallelRequests === null ? null : Number(maxParallelRequests),
    blocked: request.blocked ?? false,
  };
}

function readKey(key: string | undefined): string | undefined {
  if (key === undefined || key === "") return undefined;
  if (keyForm.test(key)) return key;
  throw invalid("key", "must start with sk-, have at least 16 characters and hold no spaces");
}

function label(field: string, value: string | undefined): string | null {
  if (value === undefined || value === "") return null;
  checkText(field, value);
  return value;
}

function checkText(field: string, value: string): void {
  if (value.length > maxText) throw invalid(field, `must have at most ${maxText} characters`);
  if (!value.isWellFormed() || /\p{Cc}/u.test(value)) throw invalid(field, "must hold no control characters");
}

function readModels(models: readonly string[]): string[] {
  if (models.length > maxModels) throw invalid("models", `must name at most ${maxModels} models`);
  for (const model of models) {
    if (model === "") throw invalid("models", "must hold no empty name");
    if (unbuiltModels.has(model)) throw invalid("models", `cannot hold '${model}' yet`);
    checkText("models", model);
  }
  return [...new Set(models)];
}

function limit(field: string, value: bigint | undefined, most: bigint | undefined): bigint | null {
  if (value === undefined) return null;
  if (value < 0n) throw invalid(field, "must not be negative");
  if (most !== undefined && value > most) throw invalid(field, `must be at most ${most}`);
  return value;
}

function readExpiry(duration: string | undefined, now: Date): Date | null {
  if (duration === undefined || duration === "" || duration === "-1") return null;
  return addDuration(now, parsed("duration", duration));
}

function readBudgetDuration(text: string | undefined): string | null {
  if (text === undefined || text === "") return null;
  const { amount, unit } = parsed("budget_duration", text);
  if (unit === "mo" && amount !== 1) throw invalid("budget_duration", "can be one month, 1mo, but not several");
  return text;
}

function parsed(field: string, text: string) {
  try {
    return parseDuration(text);
  } catch (error) {
    throw invalid(field, `is wrong: ${errorText(error)}`);
  }
}

function invalid(field: string, what: string) {
  return gatewayError(Reason.INVALID_REQUEST, `${field} ${what}.`, { param: field });
}
