import { type Implementation, implement } from "#chassis/service.ts";
import { ChatService } from "#gen/sluice/chat/v1/chat_service_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { ChatParts } from "../chat/run-chat.ts";
import type { EdgeContext } from "../context.ts";
import type { Dialect } from "../error-body.ts";
import type { EdgeEvents } from "../events.ts";
import type { NamedScopes } from "../named-scopes.ts";
import { restRoutes } from "../rest/rest-routes.ts";
import { restRpcs } from "../rest/rest-rpcs.ts";
import type { Route } from "../route-table.ts";
import { countTokens } from "./count-tokens.ts";
import { createChatCompletion } from "./create-chat-completion.ts";
import { endLogin } from "./end-login.ts";
import { finishLogin } from "./finish-login.ts";
import { getModel } from "./get-model.ts";
import { googleRoutes } from "./google-routes.ts";
import { listModels } from "./list-models.ts";
import { listProviders } from "./list-providers.ts";
import { listSupportedParams } from "./list-supported-params.ts";
import { runInference } from "./run-inference.ts";
import { showApiPage, showApiPageFile, showOpenApi } from "./show-api.ts";
import { showLiveness, showReadiness } from "./show-health.ts";
import { showMetrics } from "./show-metrics.ts";
import { showSession } from "./show-session.ts";
import { startLogin } from "./start-login.ts";
import { streamChatCompletion } from "./stream-chat-completion.ts";
import { transformRequest } from "./transform-request.ts";

/** The RPCs of the outside. */
export function createImplementations(parts: ChatParts): readonly Implementation[] {
  return [
    implement(ChatService, {
      createChatCompletion: createChatCompletion(parts),
      streamChatCompletion: streamChatCompletion(parts),
    }),
    ...restRpcs(parts),
  ];
}

/** Every path of the outside. What is not here is a 404. */
export function createRoutes(
  context: EdgeContext,
  events: EdgeEvents,
  named: NamedScopes,
  draining: () => boolean,
): readonly Route[] {
  const { clients, config } = context;
  const infer = (operation: Operation, dialect: Dialect, paths: readonly string[]): Route => ({
    method: "POST",
    access: "key",
    dialect,
    paths,
    groups: ["llm_api_routes", `${dialect === "anthropic" ? "anthropic" : "openai"}_routes`],
    handle: runInference(context, events, named, operation),
  });
  const open = (paths: readonly string[], handle: (Route & { access: "public" })["handle"]): Route => ({
    method: "GET",
    access: "public",
    paths,
    handle,
  });
  const models = { method: "GET", access: "key", groups: ["llm_api_routes", "openai_routes", "info_routes"] } as const;
  return [
    infer(Operation.CHAT_COMPLETIONS, "openai", withAliases("chat/completions")),
    infer(Operation.COMPLETIONS, "openai", withAliases("completions")),
    infer(Operation.EMBEDDINGS, "openai", withAliases("embeddings")),
    infer(Operation.RERANK, "openai", ["/v1/rerank", "/v2/rerank", "/rerank"]),
    infer(Operation.RESPONSES, "responses", [
      "/v1/responses",
      "/responses",
      "/openai/v1/responses",
      "/openai/responses",
    ]),
    infer(Operation.MESSAGES, "anthropic", ["/v1/messages"]),
    {
      method: "POST",
      access: "key",
      dialect: "anthropic",
      groups: ["llm_api_routes", "anthropic_routes"],
      paths: ["/v1/messages/count_tokens"],
      handle: countTokens(context, Operation.MESSAGES),
    },
    { method: "POST", access: "key", paths: ["/utils/transform_request"], handle: transformRequest(context) },
    { method: "GET", access: "key", paths: ["/utils/supported_openai_params"], handle: listSupportedParams(context) },
    { ...models, paths: ["/v1/models", "/models"], handle: listModels(clients.models, config.restTimeoutMs) },
    { ...models, paths: ["/v1/models/{id}", "/models/{id}"], handle: getModel(clients.models, config.restTimeoutMs) },
    ...googleRoutes(context, events, named),
    open(["/public/providers"], listProviders()),
    open(["/health/liveliness", "/health/liveness"], showLiveness),
    open(["/health/readiness"], showReadiness(context.health, draining)),
    open(["/metrics"], showMetrics(context.metrics)),
    open(["/sso/login", "/sso/key/generate"], startLogin(context)),
    open(["/sso/callback"], finishLogin(context)),
    { method: "POST", access: "public", paths: ["/sso/logout"], handle: endLogin(context) },
    { method: "GET", access: "key", paths: ["/sso/session"], handle: showSession },
    open(["/"], showApiPage),
    open(["/api-page/{file}"], showApiPageFile),
    open(["/openapi.json"], showOpenApi(context)),
    ...restRoutes(context),
  ];
}

/** OpenAI's path, without version, and the forms that name the model; Azure's, older and newer. */
function withAliases(path: string): string[] {
  return [
    `/v1/${path}`,
    `/${path}`,
    `/engines/{model}/${path}`,
    `/openai/deployments/{model}/${path}`,
    `/openai/v1/${path}`,
  ];
}
