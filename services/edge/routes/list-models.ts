import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { gatewayError } from "#chassis/errors.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { Model } from "#gen/sluice/router/v1/model_pb.ts";
import type { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import { invalidRequest } from "../body-json.ts";
import { callerModels } from "../caller-models.ts";
import type { HttpCall } from "../http-call.ts";
import { readBool } from "../rest/read-input.ts";

const adminRoles: ReadonlySet<Role> = new Set([Role.PROXY_ADMIN, Role.ORG_ADMIN, Role.TEAM_ADMIN]);
const fallbackTypes = ["general", "context_window", "content_policy"];

/**
 * https://platform.openai.com/docs/api-reference/models/list, narrowed to what the key may use, with LiteLLM's
 * parameters; `team_id` narrows the list to what a team of the caller has beside what everybody has. Clients of
 * Anthropic's, which say so in a header, get https://platform.claude.com/docs/en/api/models/list, and Google's, by path
 * or header, https://ai.google.dev/api/models; both on one page.
 */
export function listModels(models: Client<typeof ModelService>, timeoutMs: number) {
  return async (call: HttpCall, principal: Principal): Promise<void> => {
    const query = new URLSearchParams(call.query);
    if (readFlag(query, "healthy_only")) throw invalidRequest("'healthy_only' is not supported yet.", "healthy_only");
    const options = { signal: call.signal, timeoutMs };
    const fallbackType = readFallbackType(query);
    const all = seesAll(query, principal);
    const question = {
      returnWildcardRoutes: readFlag(query, "return_wildcard_routes"),
      includeModelAccessGroups: readFlag(query, "include_model_access_groups"),
      onlyModelAccessGroups: readFlag(query, "only_model_access_groups"),
      fallbackType,
    };
    // A token of several teams may use what any of them may.
    const team = readTeam(query, principal);
    const acting = query.get("team_id") ? [] : principal.alternatives;
    const lists = await Promise.all(
      [{ of: principal, teamId: team }, ...acting.map((of) => ({ of, teamId: of.teamId }))].map(({ of, teamId }) =>
        models.listModels({ ...question, callerModels: all ? { levels: [] } : callerModels(of), teamId }, options),
      ),
    );
    const listed = [...new Map(lists.flatMap((list) => list.models).map((model) => [model.id, model])).values()];
    const data = listed.map((model) =>
      fallbackType === ""
        ? toModel(call, model)
        : { ...toModel(call, model), metadata: { fallbacks: model.fallbacks } },
    );
    if (speaksGoogle(call)) call.sendJson(200, { models: data });
    else if (!speaksAnthropic(call)) call.sendJson(200, { object: "list", data });
    else {
      const ids = listed.map(({ id }) => id);
      call.sendJson(200, { data, has_more: false, first_id: ids[0] ?? null, last_id: ids.at(-1) ?? null });
    }
  };
}

function readFlag(query: URLSearchParams, name: string): boolean {
  const value = query.get(name) ?? "";
  return value === "" ? false : readBool(name, value);
}

/** `scope=expand` shows administrators of any kind what there is, whatever their own key may use. */
function seesAll(query: URLSearchParams, { roles }: Principal): boolean {
  const scope = query.get("scope") ?? "";
  if (scope !== "" && scope !== "expand") throw invalidRequest("'scope' must be expand.", "scope");
  return scope === "expand" && roles.some((role) => adminRoles.has(role));
}

function readFallbackType(query: URLSearchParams): string {
  const type = query.get("fallback_type") ?? "general";
  if (!fallbackTypes.includes(type)) {
    throw invalidRequest(`'fallback_type' must be one of ${fallbackTypes.join(", ")}.`, "fallback_type");
  }
  return readFlag(query, "include_metadata") ? type : "";
}

/** @throws PERMISSION_DENIED for a team that the caller is not in. */
function readTeam(query: URLSearchParams, principal: Principal): string {
  const team = query.get("team_id") ?? "";
  if (team === "" || team === principal.teamId) return principal.teamId;
  if (principal.teamIds.includes(team) || principal.roles.includes(Role.PROXY_ADMIN)) return team;
  throw gatewayError(Reason.PERMISSION_DENIED, "You may not see the models of this team.", { param: "team_id" });
}

/** A model as the client's dialect tells it. */
export function toModel(call: HttpCall, model: Model): Record<string, unknown> {
  if (speaksGoogle(call)) return toGoogleModel(model);
  return speaksAnthropic(call) ? toAnthropicModel(model) : toOpenAiModel(model);
}

/** Google's newer clients ask below `/v1`, as OpenAI's do, with a key in a header of their own. */
function speaksGoogle({ dialect, request }: HttpCall): boolean {
  return dialect === "google" || request.headers["x-goog-api-key"] !== undefined;
}

/** Anthropic's clients send the version of its API with every call. */
function speaksAnthropic({ request }: HttpCall): boolean {
  return request.headers["anthropic-version"] !== undefined;
}

function toGoogleModel({ id }: Model) {
  const supportedGenerationMethods = ["generateContent", "streamGenerateContent", "countTokens"];
  return { name: `models/${id}`, displayName: id, supportedGenerationMethods };
}

/** Anthropic too gives the epoch to a model whose age is not known. */
function toAnthropicModel(model: Model) {
  const created = model.createdAt === undefined ? 0 : timestampMs(model.createdAt);
  return { type: "model", id: model.id, display_name: model.id, created_at: new Date(created).toISOString() };
}

function toOpenAiModel(model: Model) {
  const created = model.createdAt === undefined ? 0 : Math.floor(timestampMs(model.createdAt) / 1000);
  return { id: model.id, object: "model", created, owned_by: model.ownedBy };
}
