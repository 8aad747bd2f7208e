import { openAiRows, ownOpenAiRow } from "#catalog/catalog.ts";
import type { OpenAiRow } from "#catalog/provider-row.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { readGoogleCredential } from "../../google-credential.ts";
import type { Exchange, ProviderCall } from "../../provider.ts";
import { createMessagesOverChat } from "../../translate/messages-over-chat.ts";
import { createOpenAiExchange } from "../openai-compatible/exchange.ts";
import { modelResource, type Publisher, providerId, resourceAddress } from "./upstream-request.ts";

/** A model of another vendor, and where Vertex AI serves it. */
export interface PartnerModel {
  /** The model's name in the body. */
  readonly model: string;
  /** `openapi` for the endpoint that all vendors share, a number for one of the user's own, else a publisher's. */
  readonly endpoint: string;
  /** The row of the catalog whose quirks the model has. */
  readonly likeness?: string;
}

const ownFormat: readonly (readonly [models: RegExp, publisher: Publisher, likeness: string])[] = [
  [/^(?:mistralai\/)?((?:mistral|ministral|magistral|codestral|pixtral|devstral)-[\w.@-]+)$/, "mistralai", "mistral"],
  [/^(?:ai21\/)?(jamba-[\w.@-]+)$/, "ai21", "ai21"],
];

/**
 * The model of another vendor that a name stands for; undefined for one of Google's. As at LiteLLM: `mistral-*`, `jamba-*`,
 * `<vendor>/<model>` (https://docs.cloud.google.com/vertex-ai/generative-ai/docs/maas/call-open-model-apis), and
 * `openai/<number>` for an endpoint of the user's own that speaks OpenAI's format.
 */
export function partnerModelOf(name: string): PartnerModel | undefined {
  for (const [models, publisher, likeness] of ownFormat) {
    const model = models.exec(name)?.[1];
    if (model !== undefined) return { model, endpoint: publisher, likeness };
  }
  const own = /^openai\/(\d+)$/.exec(name)?.[1];
  if (own !== undefined) return { model: own, endpoint: own };
  return /^(?!google\/|publishers\/)[a-z0-9-]+\/[\w.@-]+$/.test(name)
    ? { model: name, endpoint: "openapi" }
    : undefined;
}

/** A chat with such a model: OpenAI's format at an address of Vertex AI's. */
export function createPartnerExchange(call: ProviderCall, partner: PartnerModel): Exchange {
  switch (call.operation) {
    case Operation.CHAT_COMPLETIONS:
      return createChatExchange(call, partner);
    case Operation.MESSAGES:
      return createMessagesOverChat(call, {
        id: providerId,
        upstream: { outputLimitField: "max_tokens", reasoningField: "reasoning_content" },
        begin: (inner) => createChatExchange(inner, partner),
      });
    default:
      throw gatewayError(
        Reason.OPERATION_UNSUPPORTED,
        "Models of other vendors offer chat completions and messages, not this operation.",
        { param: "model" },
      );
  }
}

function createChatExchange(call: ProviderCall, partner: PartnerModel): Exchange {
  const credential = readGoogleCredential(call.credential);
  const address = resourceAddress(call, credential, resourceOf(call, partner));
  const slash = address.lastIndexOf("/");
  const isKey = credential.apiKey !== "";
  const key = isKey ? credential.apiKey : credential.token;
  const row: OpenAiRow = {
    ...quirksOf(partner),
    id: providerId,
    base_url: address.slice(0, slash),
    paths: { chat_completions: address.slice(slash + 1) },
    key_header: isKey ? "x-goog-api-key" : "authorization",
    key_prefix: isKey ? "" : "Bearer ",
    needs_key: false,
    root_path: undefined,
  };
  const model = partner.endpoint === "openapi" ? partner.model : partner.model.replace(/@.*$/, "");
  return createOpenAiExchange(row, {
    ...call,
    model,
    baseUrl: "",
    credential: key === "" ? undefined : new Secret(key),
  });
}

function resourceOf({ stream }: ProviderCall, { model, endpoint }: PartnerModel): string {
  if (endpoint !== "mistralai" && endpoint !== "ai21") return `endpoints/${endpoint}/chat/completions`;
  return `${modelResource(model, endpoint)}:${stream ? "streamRawPredict" : "rawPredict"}`;
}

const plain = ownOpenAiRow({ id: "vertex_ai", needs_key: false, paths: {} });
const rows = new Map(openAiRows().map((row) => [row.id, row]));

function quirksOf({ likeness = "" }: PartnerModel): OpenAiRow {
  return rows.get(likeness) ?? plain;
}
