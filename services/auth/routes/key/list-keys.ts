import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import {
  type KeyService,
  type ListedKey,
  ListedKeySchema,
  type ListKeysRequest,
  ListKeysResponseSchema,
} from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { RouteContext } from "../../context.ts";
import { TeamMember } from "../../db/entities.ts";
import { deletedDetails, liveDetails } from "../../key-details.ts";
import { oneForm } from "../../key-input.ts";
import {
  anyOf,
  type Condition,
  deletedKeys,
  equal,
  type KeyColumn,
  type KeyTable,
  like,
  listedPlaces,
  liveKeys,
  oneOf,
  ownKeys,
  readKeyPage,
} from "../../key-list.ts";
import { pagesOf, readOrder, readPage } from "../../page.ts";

const columns = {
  created_at: "created_at",
  updated_at: "updated_at",
  expires: "expires_at",
  token: "key_id",
  key_name: "key_name",
  key_alias: "key_alias",
  user_id: "user_id",
  team_id: "team_id",
} as const satisfies Record<string, KeyColumn>;

export function listKeys(context: RouteContext): ServiceImpl<typeof KeyService>["listKeys"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const page = readPage(request.page, request.size, 10, 100);
    const keys = readStatus(request);
    const expand = readExpand(request);
    const order = orderOf(keys, request);
    const whole = expand || request.returnFullObject;
    try {
      const em = context.database.em();
      const all = await conditions(em, caller, keys, request, new Date(context.clock()));
      const { found, total } = await readKeyPage(em, keys, whole ? keys.id : "key_id", all, order, page);
      return create(ListKeysResponseSchema, {
        keys: whole ? await detailed(em, keys, found, expand) : found.map(hashOnly),
        totalCount: total,
        currentPage: page.page,
        totalPages: pagesOf(total, page),
      });
    } catch (error) {
      throw databaseError(error);
    }
  };

  async function detailed(
    em: SqlEntityManager,
    keys: KeyTable,
    found: readonly string[],
    expand: boolean,
  ): Promise<ListedKey[]> {
    const details =
      keys === deletedKeys
        ? await deletedDetails(context, em, found, expand)
        : await liveDetails(context, em, found, expand);
    return details.map((value) => create(ListedKeySchema, { key: { case: "details", value } }));
  }
}

function hashOnly(keyId: string): ListedKey {
  return create(ListedKeySchema, { key: { case: "token", value: keyId } });
}

function readStatus({ status }: ListKeysRequest): KeyTable {
  if (status === "") return liveKeys;
  if (status === "deleted") return deletedKeys;
  throw invalid("status", "must be deleted, or absent");
}

function readExpand({ expand }: ListKeysRequest): boolean {
  if (expand.some((name) => name !== "user")) throw invalid("expand", "must be user");
  return expand.length > 0;
}

/** Rows that are equal in the column follow their keys in the same direction: one index serves both directions. */
function orderOf(keys: KeyTable, { sortBy, sortOrder }: ListKeysRequest): string {
  const usual = { by: "created_at", order: "desc" } as const;
  const order = readOrder(columns, "key_id", sortBy, sortOrder || "desc", usual).flatMap((each) =>
    Object.entries(each),
  );
  return order.map(([column]) => `${orderColumn(keys, column)} ${order[0]?.[1]}`).join(", ");
}

/** `readOrder` names columns of its table only. */
function orderColumn(keys: KeyTable, column: string): string {
  const known = Object.values(columns).find((each) => each === column);
  return keys.column(known ?? "key_id");
}

async function conditions(
  em: SqlEntityManager,
  caller: AdminCaller,
  keys: KeyTable,
  request: ListKeysRequest,
  now: Date,
): Promise<Condition[]> {
  const all: Condition[] = [];
  const narrow = (column: KeyColumn, value: string, compare = equal) => {
    if (value !== "") all.push(compare(keys.column(column), value));
  };
  const compare = request.substringMatching ? like : equal;
  narrow("team_id", request.teamId);
  narrow("organization_id", request.organizationId);
  narrow("project_id", request.projectId);
  narrow("key_id", request.keyHash);
  narrow("key_alias", oneForm(request.keyAlias), compare);
  if (request.expires !== "") all.push(expiry(keys, request, now));
  if (request.accessGroupId !== "") {
    const value = JSON.stringify({ accessGroupIds: [request.accessGroupId] });
    all.push({ sql: `${keys.column("doc")} @> ?::jsonb`, values: [value] });
  }
  if (request.userId !== "") all.push(anyOf(await keysOfUser(em, caller, keys, request, compare)));
  const visible = await visibleKeys(em, caller, keys, request);
  if (visible !== undefined) all.push(anyOf(visible));
  return all;
}

/** A deleted key's moment is a text of JSON. */
function expiry(keys: KeyTable, { expires }: ListKeysRequest, now: Date): Condition {
  const column = `(${keys.column("expires_at")})::timestamptz`;
  if (expires === "expired") return { sql: `${column} <= ?`, values: [now] };
  if (expires === "active") return { sql: `(${column} is null or ${column} > ?)`, values: [now] };
  throw invalid("expires", "must be expired, active, or absent");
}

/** Keys of the user that the request names, and those of its teams and its making where the request asks for them. */
async function keysOfUser(
  em: SqlEntityManager,
  caller: AdminCaller,
  keys: KeyTable,
  request: ListKeysRequest,
  compare: typeof equal,
): Promise<Condition[]> {
  const { userId, includeTeamKeys, includeCreatedByKeys } = request;
  const all = [compare(keys.column("user_id"), userId)];
  if (includeCreatedByKeys) all.push(equal(keys.column("created_by"), userId));
  if (!includeTeamKeys) return all;
  if (userId === caller.userId) return [...all, ...(await listedPlaces(em, caller, keys))];
  const teams = await em.find(TeamMember, { userId, role: "admin" });
  const teamIds = teams.map(({ teamId }) => teamId);
  return [...all, oneOf(keys.column("team_id"), teamIds)];
}

/** The conditions of which one has to hold for the caller to see a key; undefined where it sees all. */
async function visibleKeys(
  em: SqlEntityManager,
  caller: AdminCaller,
  keys: KeyTable,
  request: ListKeysRequest,
): Promise<Condition[] | undefined> {
  const own = ownKeys(caller, keys);
  if (own === undefined) return undefined;
  const visible = [...own];
  const namesPlace = request.teamId !== "" || request.organizationId !== "" || request.userId !== "";
  if (namesPlace || request.includeTeamKeys) visible.push(...(await listedPlaces(em, caller, keys)));
  if (request.includeCreatedByKeys && caller.userId !== "") {
    visible.push(equal(keys.column("created_by"), caller.userId));
  }
  return visible;
}

function invalid(field: string, what: string) {
  return gatewayError(Reason.INVALID_REQUEST, `${field} ${what}.`, { param: field });
}
