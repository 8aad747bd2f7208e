import type { JsonObject } from "../../services/provider-adapter/provider.ts";
import { objectOf, parseObject, without } from "../../services/provider-adapter/translate/json-reading.ts";
import { differenceOf } from "./difference.ts";
import type { ExchangePlan } from "./exchange-plan.ts";
import { isGenerateContent, upstreamModelOf } from "./recorded-upstream.ts";
import type { SentRequest } from "./replay-stage.ts";

/** What is wrong with what the provider was sent; undefined where nothing is. */
export function requestFault(plan: ExchangePlan, requests: readonly SentRequest[], keys: Keys): string | undefined {
  const [request] = requests;
  if (request === undefined || requests.length > 1) return `the provider got ${requests.length} requests`;
  return (
    pathFault(request.path, plan.upstream.path) ??
    headerFault(plan, request, keys) ??
    bodyFault(plan, objectOf(parseObject(request.body.toString())))
  );
}

/** Where no query was recorded, any will do. */
function pathFault(path: string, recorded: string): string | undefined {
  return differenceOf(recorded.includes("?") ? path : path.replace(/\?.*/, ""), recorded, "upstream path");
}

/** The provider's key, and the client's key, which no provider may see. */
export interface Keys {
  readonly upstream: string;
  readonly client: string;
}

function headerFault({ headers, upstream }: ExchangePlan, request: SentRequest, keys: Keys): string | undefined {
  const { [upstream.keyHeader]: credential } = request.headers;
  if (String(credential).replace(/^Bearer /, "") !== keys.upstream) return "the provider's key is not in its header";
  if (JSON.stringify(request.headers).includes(keys.client)) return "the client's key reached the provider";
  return Object.entries(headers)
    .map(([name, value]) => differenceOf(String(request.headers[name]), value, `header ${name}`))
    .find((fault) => fault !== undefined);
}

function bodyFault(plan: ExchangePlan, sent: JsonObject): string | undefined {
  const model = isGenerateContent(plan.endpoint) ? undefined : upstreamModelOf(plan.recording);
  if (sent.model !== model) return differenceOf(sent.model, model, "upstream request.model");
  if (plan.recordedBody === undefined) return undefined;
  const comparable = withoutAddedUsage(sent, plan.recordedBody);
  return differenceOf(without(comparable, "model"), without(plan.recordedBody, "model"), "upstream request");
}

/** The gateway asks for usage where the client did not. */
function withoutAddedUsage(sent: JsonObject, recorded: JsonObject): JsonObject {
  const options = objectOf(sent.stream_options);
  if (recorded.stream !== true || options.include_usage !== true) return sent;
  const { include_usage: asked } = objectOf(recorded.stream_options);
  if (asked === true) return sent;
  const rest = without(options, "include_usage");
  if (asked !== undefined) return { ...sent, stream_options: { ...rest, include_usage: asked } };
  return Object.keys(rest).length === 0 && recorded.stream_options === undefined
    ? without(sent, "stream_options")
    : { ...sent, stream_options: rest };
}
