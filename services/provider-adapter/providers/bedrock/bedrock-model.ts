import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type ClaudeModel, claudeModel } from "../../translate/chat-to-messages/claude-models.ts";

/** What is known of a model at Bedrock from its name. */
export interface BedrockModel {
  /** Its id, or the ARN of a profile, as it stands in the address. */
  readonly id: string;
  /** The region that the name tells; empty where it tells none. */
  readonly region: string;
  /** `unknown` is an ARN that does not tell what stands behind it. */
  readonly family: "claude" | "nova" | "openai" | "qwen" | "other" | "unknown";
  /** Facts of a Claude model; of any other, what the oldest API understands. */
  readonly claude: ClaudeModel;
  /** Where cache points may stand; elsewhere Bedrock refuses the request for them. */
  readonly cachePoints: { readonly content: boolean; readonly tools: boolean };
  /** Whether `toolChoice` may be `any` or name a tool. */
  readonly forcesTools: boolean;
  /** Whether `outputConfig.textFormat` takes a JSON schema. */
  readonly structuredOutputs: boolean;
}

/** LiteLLM's words before a model's name that choose another of Bedrock's APIs. */
const otherApis = /^(?:invoke|agent|agentcore|async_invoke|converse_like|openai|llama|deepseek_r1|nova)\//;
const regionPrefix = /^([a-z]{2}(?:-[a-z]+)+-\d)\//;

/**
 * Reads a model's name: an id, `converse/` before it or not, a region before it or not, or an ARN. Which model can what:
 * https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html,
 * …/prompt-caching.html, …/structured-output.html.
 */
export function bedrockModel(name: string): BedrockModel {
  const route = name.replace(/^converse\//, "");
  const region = regionPrefix.exec(route)?.[1] ?? "";
  const id = route.replace(regionPrefix, "").replace(/^converse\//, "");
  if (id === "" || otherApis.test(id)) {
    throw gatewayError(Reason.MODEL_NOT_FOUND, `Bedrock models are called by bedrock/<model id>, not '${name}'.`, {
      param: "model",
    });
  }
  const family = familyOf(id);
  const claude = claudeModel(id);
  return {
    id,
    region: region || arnRegion(id),
    family,
    claude,
    cachePoints: cachePointsOf(id, family),
    forcesTools: family === "claude" || family === "nova" || family === "unknown",
    structuredOutputs: family === "claude" ? claude.structuredOutputs : schemaModels.test(id),
  };
}

const schemaModels =
  /\b(?:openai\.gpt-oss|qwen\.qwen3|google\.gemma|deepseek\.v|minimax\.|moonshot|nvidia\.|mistral\.(?:mistral-large-3|ministral|magistral|voxtral))/;

function familyOf(id: string): BedrockModel["family"] {
  if (/\bclaude\b/.test(id)) return "claude";
  if (/\bamazon\.nova\b/.test(id)) return "nova";
  if (/\bopenai\./.test(id)) return "openai";
  if (/\bqwen\./.test(id)) return "qwen";
  return id.startsWith("arn:") ? "unknown" : "other";
}

function cachePointsOf(id: string, family: BedrockModel["family"]): BedrockModel["cachePoints"] {
  if (family === "nova") return { content: true, tools: false };
  const claude = family === "claude" && !/claude-(?:v\d|instant|3-(?:opus|sonnet|haiku)|3-5-sonnet-20240620)/.test(id);
  return { content: claude || family === "unknown", tools: claude || family === "unknown" };
}

function arnRegion(id: string): string {
  return /^arn:aws[a-z-]*:bedrock:([a-z0-9-]+):/.exec(id)?.[1] ?? "";
}
