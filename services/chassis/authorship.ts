import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";

/** How the caller is remembered in what it makes: its user, else its key's hash. */
export function nameOf(caller: AdminCaller): string {
  return caller.userId === "" ? caller.keyId : caller.userId;
}

/** The columns that tell who made a row and when. */
export function createdBy(caller: AdminCaller, now: Date) {
  const name = nameOf(caller);
  return { createdAt: now, createdBy: name, updatedAt: now, updatedBy: name, version: 1 };
}

/** Marks a row as changed. */
export function touch(
  row: { updatedAt: Date; updatedBy: string; version: number },
  caller: AdminCaller,
  now: Date,
): void {
  row.updatedAt = now;
  row.updatedBy = nameOf(caller);
  row.version += 1;
}
