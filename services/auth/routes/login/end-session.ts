import type { ServiceImpl } from "@connectrpc/connect";
import type { LoginService } from "#gen/sluice/auth/v1/login_service_pb.ts";
import { change } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { LoginSession } from "../../db/entities.ts";
import { ssoCaller } from "../../login/open-session.ts";
import { scopeOf } from "../../scope.ts";

export function endSession(context: RouteContext): ServiceImpl<typeof LoginService>["endSession"] {
  return async ({ sessionHash }) => {
    await change(context, ssoCaller, async (em) => {
      const ended = await em.nativeDelete(LoginSession, { sessionHash });
      const changed = ended === 0 ? [] : [{ scope: scopeOf.key(sessionHash), action: "deleted" as const }];
      return { result: undefined, changed };
    });
    return {};
  };
}
