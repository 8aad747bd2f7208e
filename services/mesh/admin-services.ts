import type { DescService } from "@bufbuild/protobuf";
import type { ServiceName } from "#chassis/service.ts";
import { SpendService } from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import { AccessGroupService } from "#gen/sluice/auth/v1/access_group_service_pb.ts";
import { AuditService } from "#gen/sluice/auth/v1/audit_service_pb.ts";
import { BudgetService } from "#gen/sluice/auth/v1/budget_service_pb.ts";
import { CustomerService } from "#gen/sluice/auth/v1/customer_service_pb.ts";
import { KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { OrganizationService } from "#gen/sluice/auth/v1/organization_service_pb.ts";
import { ProjectService } from "#gen/sluice/auth/v1/project_service_pb.ts";
import { SpendReportService } from "#gen/sluice/auth/v1/spend_report_service_pb.ts";
import { TagService } from "#gen/sluice/auth/v1/tag_service_pb.ts";
import { TeamService } from "#gen/sluice/auth/v1/team_service_pb.ts";
import { UserService } from "#gen/sluice/auth/v1/user_service_pb.ts";
import { ConfigService } from "#gen/sluice/router/v1/config_service_pb.ts";
import { CredentialService } from "#gen/sluice/router/v1/credential_service_pb.ts";
import { ModelAccessGroupService } from "#gen/sluice/router/v1/model_access_group_service_pb.ts";
import { ModelHealthService } from "#gen/sluice/router/v1/model_health_service_pb.ts";
import { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";

/** A service whose RPCs declare REST paths, and who serves it. */
export interface AdminService {
  readonly owner: ServiceName;
  readonly service: DescService;
}

/** Every admin path that the edge answers is declared in one of these. */
export const adminServices: readonly AdminService[] = [
  { owner: "auth", service: KeyService },
  { owner: "auth", service: UserService },
  { owner: "auth", service: BudgetService },
  { owner: "auth", service: CustomerService },
  { owner: "auth", service: TagService },
  { owner: "auth", service: SpendReportService },
  { owner: "auth", service: TeamService },
  { owner: "auth", service: OrganizationService },
  { owner: "auth", service: ProjectService },
  { owner: "auth", service: AccessGroupService },
  { owner: "auth", service: AuditService },
  { owner: "accounting", service: SpendService },
  { owner: "router", service: ModelService },
  { owner: "router", service: CredentialService },
  { owner: "router", service: ModelAccessGroupService },
  { owner: "router", service: ModelHealthService },
  { owner: "router", service: ConfigService },
];
