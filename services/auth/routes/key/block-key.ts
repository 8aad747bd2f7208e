import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { type Key, KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import {
  BlockKeyResponseSchema,
  type KeyService,
  UnblockKeyResponseSchema,
} from "#gen/sluice/auth/v1/key_service_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { change, touch } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { lockKey } from "../../key-changing.ts";
import { mayAdministerKey } from "../../key-rights.ts";
import { keyView } from "../../key-view.ts";
import { scopeOf } from "../../scope.ts";
import { spentByOne } from "../../scope-spend.ts";
import { keyIdOf } from "../../secret-key.ts";
import { readDoc, writeDoc } from "../../stored-doc.ts";

export function blockKey(context: RouteContext): ServiceImpl<typeof KeyService>["blockKey"] {
  return async ({ key }, { requestHeader }) => {
    return create(BlockKeyResponseSchema, { key: await setBlocked(context, requireCaller(requestHeader), key, true) });
  };
}

export function unblockKey(context: RouteContext): ServiceImpl<typeof KeyService>["unblockKey"] {
  return async ({ key }, { requestHeader }) => {
    return create(UnblockKeyResponseSchema, {
      key: await setBlocked(context, requireCaller(requestHeader), key, false),
    });
  };
}

async function setBlocked(context: RouteContext, caller: AdminCaller, key: string, blocked: boolean): Promise<Key> {
  const keyId = keyIdOf(key);
  const row = await change(context, caller, async (em) => {
    const { row } = await lockKey(em, caller, keyId, blocked ? "block" : "unblock", mayAdministerKey);
    const settings = readDoc(KeySettingsSchema, row.doc);
    settings.blocked = blocked;
    row.doc = writeDoc(KeySettingsSchema, settings);
    touch(row, caller, new Date(context.clock()));
    return { result: row, changed: [{ scope: scopeOf.key(keyId), action: blocked ? "blocked" : "unblocked" }] };
  });
  return keyView(row, await spentByOne(context, scopeOf.key(keyId)));
}
