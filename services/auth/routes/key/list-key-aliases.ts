import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { databaseError } from "#chassis/database/database.ts";
import {
  type KeyService,
  type ListKeyAliasesRequest,
  ListKeyAliasesResponseSchema,
} from "#gen/sluice/auth/v1/key_service_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { RouteContext } from "../../context.ts";
import { oneForm } from "../../key-input.ts";
import {
  anyOf,
  type Condition,
  equal,
  like,
  listedPlaces,
  liveKeys,
  oneOf,
  ownKeys,
  readKeyPage,
} from "../../key-list.ts";
import { pagesOf, readPage } from "../../page.ts";

export function listKeyAliases(context: RouteContext): ServiceImpl<typeof KeyService>["listKeyAliases"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const page = readPage(request.page, request.size, 50, 100);
    try {
      const em = context.database.em();
      const all = await conditions(caller, request);
      const { found, total } = await readKeyPage(em, liveKeys, "key_alias", all, "key_alias", page);
      return create(ListKeyAliasesResponseSchema, {
        aliases: [...found],
        totalCount: total,
        currentPage: page.page,
        totalPages: pagesOf(total, page),
        size: page.size,
      });
    } catch (error) {
      throw databaseError(error);
    }
  };

  async function conditions(caller: AdminCaller, { search, teamId }: ListKeyAliasesRequest): Promise<Condition[]> {
    const all: Condition[] = [{ sql: "key_alias is not null", values: [] }];
    if (search !== "") all.push(like("key_alias", oneForm(search)));
    if (teamId !== "") all.push(equal("team_id", teamId));
    const own = ownKeys(caller, liveKeys);
    if (own === undefined) return all;
    const places = await listedPlaces(context.database.em(), caller, liveKeys);
    // A name says little: a plain member sees those of its teams, as in LiteLLM.
    return [...all, anyOf([...own, ...places, oneOf("team_id", caller.teamIds)])];
  }
}
