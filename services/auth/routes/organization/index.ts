import { type Implementation, implement } from "#chassis/service.ts";
import { OrganizationService } from "#gen/sluice/auth/v1/organization_service_pb.ts";
import type { RouteContext } from "../../context.ts";
import { addOrganizationMembers, deleteOrganizationMember, updateOrganizationMember } from "./change-members.ts";
import { createOrganization, updateOrganization } from "./change-organization.ts";
import { deleteOrganizations } from "./delete-organizations.ts";
import { getOrganization, listOrganizations } from "./read-organizations.ts";

export function organizationRoutes(context: RouteContext): Implementation {
  return implement(OrganizationService, {
    createOrganization: createOrganization(context),
    updateOrganization: updateOrganization(context),
    getOrganization: getOrganization(context),
    listOrganizations: listOrganizations(context),
    deleteOrganizations: deleteOrganizations(context),
    addOrganizationMembers: addOrganizationMembers(context),
    updateOrganizationMember: updateOrganizationMember(context),
    deleteOrganizationMember: deleteOrganizationMember(context),
  });
}
