import { create } from "@bufbuild/protobuf";
import { KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import type { VirtualKeyRow } from "../db/entities.ts";
import { writeDoc } from "../stored-doc.ts";

/** Whose a token is. Empty is nobody's. */
export interface TokenOwners {
  readonly keyId: string;
  readonly userId: string;
  readonly teamId: string;
  readonly organizationId?: string | undefined;
  readonly expiresAt?: Date | undefined;
}

/** The key that a token is in the place of: one without limits of its own. It is never stored. */
export function tokenRow({ keyId, userId, teamId, organizationId, expiresAt }: TokenOwners): VirtualKeyRow {
  const never = new Date(0);
  return {
    keyId,
    keyName: "",
    keyAlias: null,
    userId: userId || null,
    teamId: teamId || null,
    organizationId: organizationId ?? null,
    projectId: null,
    expiresAt: expiresAt ?? null,
    rotationCount: 0,
    rotatedAt: null,
    rotateAt: null,
    doc: writeDoc(KeySettingsSchema, create(KeySettingsSchema, { userId, teamId })),
    createdAt: never,
    createdBy: "",
    updatedAt: never,
    updatedBy: "",
    version: 0,
  };
}
