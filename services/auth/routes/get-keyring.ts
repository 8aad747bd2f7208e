import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError } from "#chassis/database/database.ts";
import { KeyWrappingSchema } from "#gen/sluice/auth/v1/keyring_pb.ts";
import type { KeyringService } from "#gen/sluice/auth/v1/keyring_service_pb.ts";
import type { RouteContext } from "../context.ts";
import { readWrappings } from "../keyring.ts";

export function getKeyring({ database, clock }: RouteContext): ServiceImpl<typeof KeyringService>["getKeyring"] {
  return async () => {
    const wrappings = await readWrappings(database.em(), new Date(clock())).catch((error: unknown) => {
      throw databaseError(error);
    });
    return {
      wrappings: wrappings.map(({ createdAt, expiresAt, ...wrapping }) =>
        create(KeyWrappingSchema, {
          ...wrapping,
          createdAt: timestampFromDate(createdAt),
          ...(expiresAt === undefined ? {} : { expiresAt: timestampFromDate(expiresAt) }),
        }),
      ),
    };
  };
}
