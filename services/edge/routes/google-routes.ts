import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { EdgeContext } from "../context.ts";
import type { EdgeEvents } from "../events.ts";
import type { NamedScopes } from "../named-scopes.ts";
import type { Route } from "../route-table.ts";
import { countTokens } from "./count-tokens.ts";
import { getModel } from "./get-model.ts";
import { listModels } from "./list-models.ts";
import { runInference } from "./run-inference.ts";

/** The paths of Google's clients, who name a model and what to do with it in one segment. https://ai.google.dev/api */
export function googleRoutes(context: EdgeContext, events: EdgeEvents, named: NamedScopes): readonly Route[] {
  const { clients, config } = context;
  const google = { access: "key", dialect: "google", groups: ["llm_api_routes", "google_routes"] } as const;
  const generate = (stream: boolean) => runInference(context, events, named, Operation.GENERATE_CONTENT, stream);
  const list = listModels(clients.models, config.restTimeoutMs);
  const get = getModel(clients.models, config.restTimeoutMs);
  return [
    { ...google, method: "POST", paths: pathsOf("generateContent"), handle: generate(false) },
    { ...google, method: "POST", paths: pathsOf("streamGenerateContent"), handle: generate(true) },
    {
      ...google,
      method: "POST",
      paths: [...pathsOf("embedContent"), ...pathsOf("batchEmbedContents")],
      handle: runInference(context, events, named, Operation.EMBED_CONTENT, false),
    },
    {
      ...google,
      method: "POST",
      paths: pathsOf("countTokens"),
      handle: countTokens(context, Operation.GENERATE_CONTENT),
    },
    { ...google, method: "GET", paths: ["/v1beta/models"], handle: list },
    { ...google, method: "GET", paths: ["/v1beta/models/{id}"], handle: get },
  ];
}

/** AI Studio's versions, and none, as LiteLLM has it. */
function pathsOf(method: string): string[] {
  return ["/v1beta", "/v1", "/v1alpha", ""].map((version) => `${version}/models/{model}:${method}`);
}
