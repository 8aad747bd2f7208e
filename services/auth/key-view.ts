import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Key, KeySchema, KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import type { RouteContext } from "./context.ts";
import type { VirtualKeyRow } from "./db/entities.ts";
import { scopeOf } from "./scope.ts";
import { nothingSpent, spentBy, type WindowSpend } from "./scope-spend.ts";
import { readDoc } from "./stored-doc.ts";

const emptyObject = Buffer.from("{}");

/** Keys as an administrator sees them, with what they spent. @throws UNAVAILABLE where accounting does not answer. */
export async function keyViews(context: RouteContext, rows: readonly VirtualKeyRow[]): Promise<Key[]> {
  const spends = await spentBy(
    context,
    rows.map(({ keyId }) => scopeOf.key(keyId)),
  );
  return rows.map((row, at) => keyView(row, spends[at] ?? nothingSpent));
}

/** A key as an administrator sees it. */
export function keyView(row: VirtualKeyRow, { spent, resetsAt }: WindowSpend): Key {
  const settings = readDoc(KeySettingsSchema, row.doc);
  settings.metadata ??= emptyObject;
  settings.blocked ??= false;
  return create(KeySchema, {
    token: row.keyId,
    keyName: row.keyName,
    settings,
    spend: spent,
    budgetResetAt: resetsAt,
    expires: stamp(row.expiresAt),
    createdAt: stamp(row.createdAt),
    createdBy: row.createdBy,
    updatedAt: stamp(row.updatedAt),
    updatedBy: row.updatedBy,
    rotationCount: row.rotationCount,
    lastRotationAt: stamp(row.rotatedAt),
    keyRotationAt: stamp(row.rotateAt),
    version: row.version,
  });
}

function stamp(date: Date | null | undefined) {
  return date == null ? undefined : timestampFromDate(date);
}
