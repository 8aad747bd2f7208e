import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { projectOf, readGoogleCredential } from "../../google-credential.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { numberOf, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import { withCallHeaders } from "../gemini/upstream-request.ts";
import { createTextRanks, readRanksRequest } from "../text-ranks.ts";
import { credentialHeaders, providerId } from "./upstream-request.ts";

const ownAddress = "https://discoveryengine.googleapis.com";

/**
 * A rerank call of Google's ranking API, which is another service than that of the models:
 * https://cloud.google.com/generative-ai-app-builder/docs/reference/rest/v1/projects.locations.rankingConfigs/rank.
 */
export function createRerankExchange(call: ProviderCall): Exchange {
  const asked = readRanksRequest(call, providerId);
  const records = asked.texts.map((content, index) => ({ id: String(index), content }));
  const body: JsonObject = {
    model: call.model,
    query: asked.query,
    records,
    ignoreRecordDetailsInResponse: true,
    ...asked.params,
  };
  if (asked.topN !== undefined) body.topN = asked.topN;
  const credential = readGoogleCredential(call.credential);
  const request = {
    method: "POST",
    url: rankAddress(call, call.settings.vertex_project ?? projectOf(credential.credentials)),
    headers: withCallHeaders(credentialHeaders(credential), call),
    body: Buffer.from(JSON.stringify(body)),
  } as const;
  return createTextRanks(call, providerId, asked, request, (answer) => {
    const { records: ranked } = objectOf(answer);
    if (!Array.isArray(ranked)) return undefined;
    return { ranks: objectsOf(ranked).map(({ id, score }) => ({ index: Number(textOf(id)), score: numberOf(score) })) };
  });
}

/** Ranks come from the location `global`, wherever the models are. */
function rankAddress({ baseUrl }: ProviderCall, project: string): string {
  if (project === "") {
    throw gatewayError(Reason.INVALID_REQUEST, "vertex_ai needs a project: set vertex_project or VERTEXAI_PROJECT.", {
      param: "model",
    });
  }
  const root = baseUrl === "" ? ownAddress : baseUrl.replace(/\/v\d+[a-z0-9]*$/, "");
  const config = "locations/global/rankingConfigs/default_ranking_config";
  return `${root}/v1/projects/${encodeURIComponent(project)}/${config}:rank`;
}
