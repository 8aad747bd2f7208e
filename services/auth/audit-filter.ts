import type { FilterQuery } from "@mikro-orm/core";
import type { AuditEntryRow } from "#chassis/audit/entry.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { ListAuditLogsRequest } from "#gen/sluice/auth/v1/audit_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { storedTable } from "./audit-view.ts";
import { keyIdOf } from "./secret-key.ts";

/** What LiteLLM's documentation calls the actions, beside their names. */
const verbs: ReadonlyMap<string, string> = new Map([
  ["create", "created"],
  ["update", "updated"],
  ["delete", "deleted"],
  ["block", "blocked"],
  ["unblock", "unblocked"],
  ["rotate", "rotated"],
]);

const dayMs = 86_400_000;

/** The entries that match everything that is set. @throws INVALID_REQUEST for a date that is none. */
export function auditFilter(request: ListAuditLogsRequest): FilterQuery<AuditEntryRow> {
  const { changedBy, changedByApiKey, action, tableName, objectId, objectTeamId, objectKeyHash } = request;
  const all: FilterQuery<AuditEntryRow>[] = [];
  if (changedBy !== "") all.push({ changedBy });
  if (changedByApiKey !== "") all.push({ keyId: keyIdOf(changedByApiKey) });
  if (action !== "") all.push({ action: verbs.get(action.toLowerCase()) ?? action.toLowerCase() });
  if (tableName !== "") all.push({ tableName: storedTable(tableName) });
  if (objectId !== "") all.push({ objectId });
  if (objectTeamId !== "") all.push(eitherSide("team_id", objectTeamId));
  if (objectKeyHash !== "") all.push(eitherSide("key_id", keyIdOf(objectKeyHash)));
  const from = readMoment("start_date", request.startDate);
  const until = readMoment("end_date", request.endDate);
  if (from !== undefined) all.push({ at: { $gte: from.at } });
  if (until?.isDay === false) all.push({ at: { $lte: until.at } });
  if (until?.isDay === true) all.push({ at: { $lt: new Date(until.at.getTime() + dayMs) } });
  return { $and: all };
}

function eitherSide(member: string, value: string): FilterQuery<AuditEntryRow> {
  return { $or: [{ before: { [member]: value } }, { after: { [member]: value } }] };
}

const dayForm = /^\d{4}-\d{2}-\d{2}$/;
const momentForm = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?$/;

/** A day or a moment; without a time zone it is UTC's. */
function readMoment(param: string, text: string): { readonly at: Date; readonly isDay: boolean } | undefined {
  if (text === "") return undefined;
  const isDay = dayForm.test(text);
  // A `+` of a query that was not escaped arrives as a space.
  const iso = text.replace(/^(\d{4}-\d{2}-\d{2}) /, "$1T").replace(/ (?=\d{2}:?\d{2}$)/, "+");
  const hasZone = /(Z|[+-]\d{2}:?\d{2})$/.test(iso.slice(10));
  const at = isDay || momentForm.test(iso) ? new Date(isDay || hasZone ? iso : `${iso}Z`) : new Date(Number.NaN);
  const isReal = !Number.isNaN(at.getTime()) && (!isDay || at.toISOString().startsWith(text));
  if (isReal) return { at, isDay };
  const message = `${param} must be a day like 2026-01-31 or a moment like 2026-01-31T12:00:00Z.`;
  throw gatewayError(Reason.INVALID_REQUEST, message, { param });
}
