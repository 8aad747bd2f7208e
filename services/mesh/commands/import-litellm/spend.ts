import type { JsonObject } from "@bufbuild/protobuf";
import { addDuration, parseDuration } from "#chassis/duration.ts";
import type { ImportedSpend } from "../../../accounting/import-spend.ts";
import { scopeOf } from "../../../auth/scope.ts";
import { dateOf } from "./fields.ts";
import { nanoOf } from "./step.ts";

const scopes: Readonly<Record<string, (id: string) => string>> = {
  key: scopeOf.key,
  team: scopeOf.team,
  user: scopeOf.user,
};

/** What was spent in one of several budget windows. Undefined where that is nothing that is counted here. */
export function readWindowSpend(row: JsonObject): ImportedSpend | undefined {
  const type = String(row.entity_type);
  const scope = Object.hasOwn(scopes, type) ? scopes[type]?.(String(row.entity_id)) : undefined;
  const spentNanoUsd = nanoOf(row.spend);
  const start = dateOf(row.window_start);
  const duration = String(row.window_duration);
  if (scope === undefined || spentNanoUsd === undefined || start === undefined) return undefined;
  // A window of 30 days is a month, as everywhere.
  const end = addDuration(start, parseDuration(duration === "30d" ? "1mo" : duration));
  return { scope: `${scope}|window:${duration}`, spentNanoUsd, budgetDuration: duration, windowEndMs: end.getTime() };
}
