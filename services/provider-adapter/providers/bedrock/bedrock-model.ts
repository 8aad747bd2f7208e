import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type ClaudeModel, claudeModel } from "../../translate/chat-to-messages/claude-models.ts";

/** What is known of a model at Bedrock from its name. */
export interface BedrockModel {
  /** Its id, or the ARN of a profile, as it stands in the address. */
  readonly id: string;
  /** The region that the name tells; empty where it tells none. */
  readonly region: string;
  /** The API that the name asks for; empty where it leaves the choice. */
  readonly api: "converse" | "invoke" | "";
  /** What the model speaks over Invoke, where every family has a format of its own. */
  readonly format: InvokeFormat;
  /** `unknown` is an ARN that does not tell what stands behind it. */
  readonly family: "claude" | "nova" | "openai" | "qwen" | "other" | "unknown";
  /** Facts of a Claude model; of any other, what the oldest API understands. */
  readonly claude: ClaudeModel;
  /** Where cache points may stand; elsewhere Bedrock refuses the request for them. */
  readonly cachePoints: { readonly content: boolean; readonly tools: boolean };
  /** Whether `toolChoice` may be `any` or name a tool. */
  readonly forcesTools: boolean;
  /** Whether `reasoningConfig` takes an effort. https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html */
  readonly reasonsByLevel: boolean;
  /** Whether `outputConfig.textFormat` takes a JSON schema. */
  readonly structuredOutputs: boolean;
}

/**
 * Body formats of Invoke: Anthropic's Messages, Converse's words (Nova), OpenAI's chat completions, or one text for another.
 * https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
 */
export type InvokeFormat =
  | "messages"
  | "nova"
  | "openai"
  | "titan"
  | "llama"
  | "mistral"
  | "claude-text"
  | "cohere"
  | "command-r"
  | "deepseek"
  | "qwen";

/** LiteLLM's words before a model's name that choose what is not built. */
const otherApis = /^(?:agent|agentcore|async_invoke|stability)\//;
/** LiteLLM's words before the ARN of an imported or customized model, and what that model speaks. */
const hints: Readonly<Record<string, InvokeFormat>> = {
  openai: "openai",
  moonshot: "openai",
  llama: "llama",
  deepseek_r1: "deepseek",
  qwen2: "qwen",
  qwen3: "qwen",
  nova: "nova",
  "nova-2": "nova",
};
const prefix =
  /^(converse|converse_like|invoke|openai|moonshot|llama|deepseek_r1|qwen2|qwen3|nova|nova-2|[a-z]{2,4}(?:-[a-z]+)+-\d)\//;

/** What of a name stands before the model. */
interface Route {
  readonly id: string;
  readonly region: string;
  readonly api: "converse" | "invoke" | "";
  readonly hint: string;
}

function routeOf(name: string): Route {
  let route: Route = { id: name, region: "", api: "", hint: "" };
  for (let found = prefix.exec(route.id); found !== null; found = prefix.exec(route.id)) {
    const word = found[1] ?? "";
    const id = route.id.slice(word.length + 1);
    if (word === "invoke") route = { ...route, id, api: "invoke" };
    else if (word.startsWith("converse")) route = { ...route, id, api: "converse" };
    else if (Object.hasOwn(hints, word)) route = { ...route, id, hint: word };
    else route = { ...route, id, region: word };
  }
  return route;
}

/**
 * Reads a model's name: an id or an ARN, behind LiteLLM's words for the API (`converse/`, `invoke/`), the region and what an
 * imported model speaks (`llama/arn:…`). Which model can what:
 * https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html,
 * …/prompt-caching.html, …/structured-output.html.
 */
export function bedrockModel(name: string): BedrockModel {
  const { id, region, api, hint } = routeOf(name);
  if (id === "" || otherApis.test(id)) {
    throw gatewayError(Reason.MODEL_NOT_FOUND, `Bedrock models are called by bedrock/<model id>, not '${name}'.`, {
      param: "model",
    });
  }
  const format = hints[hint] ?? formatOf(id);
  const family = hint.startsWith("nova") ? "nova" : familyOf(id);
  const claude = claudeModel(id);
  return {
    id,
    region: region || arnRegion(id),
    api: api || apiOf(id, hint, format),
    format,
    family,
    claude,
    cachePoints: cachePointsOf(id, family),
    forcesTools: family === "claude" || family === "nova" || family === "unknown",
    reasonsByLevel: family === "nova" && (hint === "nova-2" || id.includes("nova-2")),
    structuredOutputs: family === "claude" ? claude.structuredOutputs : schemaModels.test(id),
  };
}

/** Imported models are told by their format, which Converse does not know of; the oldest Titan has no Converse. */
function apiOf(id: string, hint: string, format: InvokeFormat): BedrockModel["api"] {
  return (hint !== "" && format !== "nova") || /\bamazon\.titan-tg1/.test(id) ? "invoke" : "";
}

const formats: readonly (readonly [RegExp, InvokeFormat])[] = [
  [/claude-(?:v\d|instant)/, "claude-text"],
  [/\bclaude\b/, "messages"],
  [/\bamazon\.nova\b/, "nova"],
  [/\bamazon\.titan-t/, "titan"],
  [/\bmeta\.llama/, "llama"],
  [/\bmistral\.(?:mistral-7b|mixtral-8x7b|mistral-(?:large|small)-2402)/, "mistral"],
  [/\bcohere\.command-r/, "command-r"],
  [/\bcohere\.command/, "cohere"],
  [/\bdeepseek\.r1/, "deepseek"],
];

function formatOf(id: string): InvokeFormat {
  return formats.find(([pattern]) => pattern.test(id))?.[1] ?? "openai";
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

/** The region that an ARN tells; empty for what is none. */
export function arnRegion(id: string): string {
  return /^arn:aws[a-z-]*:(?:bedrock|sagemaker):([a-z0-9-]+):/.exec(id)?.[1] ?? "";
}
