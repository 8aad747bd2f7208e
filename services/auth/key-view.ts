import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Key, KeySchema, KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import type { VirtualKeyRow } from "./db/entities.ts";
import type { WindowSpend } from "./scope-spend.ts";
import { readDoc } from "./stored-doc.ts";

const emptyObject = Buffer.from("{}");

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
  });
}

function stamp(date: Date | null | undefined) {
  return date == null ? undefined : timestampFromDate(date);
}
