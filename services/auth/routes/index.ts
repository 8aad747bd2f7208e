import { type Implementation, implement } from "#chassis/service.ts";
import { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import { KeyringService } from "#gen/sluice/auth/v1/keyring_service_pb.ts";
import { SpendReportService } from "#gen/sluice/auth/v1/spend_report_service_pb.ts";
import { createAuthenticator } from "../authenticator.ts";
import type { RouteContext } from "../context.ts";
import { accessGroupRoutes } from "./access-group/index.ts";
import { auditRoutes } from "./audit/index.ts";
import { authenticate } from "./authenticate.ts";
import { authenticateKeys } from "./authenticate-keys.ts";
import { authenticateToken } from "./authenticate-token.ts";
import { budgetRoutes } from "./budget/index.ts";
import { customerRoutes } from "./customer/index.ts";
import { describeScope } from "./describe-scope.ts";
import { getKeyring } from "./get-keyring.ts";
import { keyRoutes } from "./key/index.ts";
import { listKeySpend, listUserSpend } from "./list-spend.ts";
import { loginRoutes } from "./login/index.ts";
import { organizationRoutes } from "./organization/index.ts";
import { projectRoutes } from "./project/index.ts";
import { tagRoutes } from "./tag/index.ts";
import { teamRoutes } from "./team/index.ts";
import { userRoutes } from "./user/index.ts";

export function createRoutes(context: RouteContext): readonly Implementation[] {
  const identify = createAuthenticator(context);
  return [
    implement(AuthService, {
      authenticate: authenticate(identify),
      authenticateKeys: authenticateKeys(identify),
      authenticateToken: authenticateToken(context),
      describeScope: describeScope(context),
    }),
    implement(KeyringService, { getKeyring: getKeyring(context) }),
    keyRoutes(context),
    implement(SpendReportService, {
      listKeySpend: listKeySpend(context),
      listUserSpend: listUserSpend(context),
    }),
    userRoutes(context),
    budgetRoutes(context),
    customerRoutes(context),
    tagRoutes(context),
    teamRoutes(context),
    organizationRoutes(context),
    projectRoutes(context),
    accessGroupRoutes(context),
    auditRoutes(context),
    loginRoutes(context),
  ];
}
