import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { Team, type TeamRow } from "../../db/entities.ts";
import { notFound, requireId } from "../../kind.ts";
import { mayManageTeam, requireTeamRight } from "../../team-rights.ts";
import { teamKind } from "../../teams.ts";

/**
 * Locks a team until the end of the transaction, so that its members and settings change one after the other.
 *
 * @throws PERMISSION_DENIED where the caller may not change it, NOT_FOUND where there is none.
 */
export async function lockTeam(
  em: SqlEntityManager,
  caller: AdminCaller,
  teamId: string,
  isAllowed: typeof mayManageTeam = mayManageTeam,
): Promise<TeamRow> {
  const id = requireId(teamKind, teamId);
  const row = await em.findOne(Team, { teamId: id }, { lockMode: LockMode.PESSIMISTIC_WRITE });
  requireTeamRight(isAllowed(caller, row ?? { teamId: id }));
  if (row === null) throw notFound(teamKind, [id]);
  return row;
}
