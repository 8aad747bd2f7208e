import { create } from "@bufbuild/protobuf";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { type Usage, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
import { listOf, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import type { Knobs } from "./knobs.ts";

export interface MockToolCall {
  readonly id: string;
  readonly name: string;
  /** A JSON text. */
  readonly arguments: string;
}

/** What a mock answer says, in no dialect yet. */
export interface MockReply {
  readonly id: string;
  readonly model: string;
  readonly createdAt: number;
  /** How many times all of it is said: 1 in a dialect without choices. */
  readonly choices: number;
  /** The answer's text, cut into tokens. */
  readonly tokens: readonly string[];
  readonly toolCalls: readonly MockToolCall[];
  readonly finishReason: "stop" | "length" | "tool_calls";
  readonly usage: Usage;
}

const words = ["The", " sluice", " lets", " through", " what", " the", " mill", " can", " use", ".", " "];
const charactersPerToken = 4;
const tokensPerMessage = 4;
const withChoices: ReadonlySet<Operation> = new Set([Operation.CHAT_COMPLETIONS, Operation.COMPLETIONS]);
/** As many as OpenAI gives. */
const maxChoices = 128;

/** Makes up what to say: the echo of the last user message, unless the knobs want something else. */
export function makeReply(call: ProviderCall, body: JsonObject, knobs: Knobs): MockReply {
  const prompt = promptOf(body);
  const toolCalls = makeToolCalls(body, knobs);
  const said = toolCalls.length > 0 && knobs.tokens === undefined ? [] : makeTokens(prompt.last, knobs);
  const limit = outputLimit(call, body);
  const tokens = said.slice(0, limit);
  const once = tokens.length + toolCalls.reduce((sum, { arguments: text }) => sum + tokensOf(text) + 8, 0);
  const choices = withChoices.has(call.operation) ? choicesOf(body) : 1;
  return {
    id: `mock-${call.createdAt.toString(36)}-${hashOf(call.body).toString(36)}`,
    model: call.model,
    createdAt: call.createdAt,
    choices,
    tokens,
    toolCalls,
    finishReason: tokens.length < said.length ? "length" : toolCalls.length > 0 ? "tool_calls" : "stop",
    usage: create(UsageSchema, { inputTokens: BigInt(prompt.tokens), outputTokens: BigInt(once * choices) }),
  };
}

/** A text as the tokens a model might have made it of: words with the space before them. */
export function splitTokens(text: string): string[] {
  return text.match(/\s*\S+|\s+$/g) ?? [];
}

/** What a text costs, roughly. */
export function tokensOf(text: string): number {
  return Math.ceil(text.length / charactersPerToken);
}

/** FNV-1a, 32 bits. */
export function hashOf(bytes: Uint8Array): number {
  return bytes.reduce((hash, byte) => Math.imul(hash ^ byte, 0x01000193) >>> 0, 0x811c9dc5);
}

function makeTokens(prompt: string, knobs: Knobs): string[] {
  if (knobs.text !== undefined) return splitTokens(knobs.text);
  if (knobs.tokens === undefined) return splitTokens(prompt === "" ? "Hello from the mock." : prompt);
  return Array.from({ length: knobs.tokens }, (_, index) => words[index % words.length] ?? "");
}

function makeToolCalls(body: JsonObject, knobs: Knobs): MockToolCall[] {
  const declared = objectsOf(body.tools).flatMap((tool) => [tool, ...objectsOf(tool.functionDeclarations)]);
  const offered = declared
    .filter((tool) => tool.functionDeclarations === undefined)
    .map((tool) => textOf(objectOf(tool.function).name) || textOf(tool.name));
  const wanted =
    typeof knobs.tool_calls === "number"
      ? Array.from({ length: knobs.tool_calls }, (_, index) => ({
          name: offered[index % Math.max(offered.length, 1)] ?? "mock_tool",
          arguments: {},
        }))
      : knobs.tool_calls;
  return wanted.map((call, index) => ({
    id: `call_mock_${index}`,
    name: call.name,
    arguments: JSON.stringify(call.arguments),
  }));
}

function choicesOf({ n }: JsonObject): number {
  if (typeof n !== "number" || n <= 1) return 1;
  if (n <= maxChoices) return Math.floor(n);
  throw gatewayError(Reason.INVALID_REQUEST, `'n' must be at most ${maxChoices}.`, { param: "n" });
}

function outputLimit(call: ProviderCall, body: JsonObject): number {
  const { maxOutputTokens } = objectOf(body.generationConfig);
  const limits = [
    body.max_completion_tokens,
    body.max_tokens,
    body.max_output_tokens,
    maxOutputTokens,
    call.outputTokenCap,
  ];
  return Math.min(...limits.filter((limit) => typeof limit === "number" && limit >= 0).map(Number));
}

/** The text of the last user message, and about how many tokens all of them are. */
function promptOf(body: JsonObject): { last: string; tokens: number } {
  const input = body.messages ?? body.contents ?? body.input ?? body.prompt ?? "";
  const messages = Array.isArray(input) ? input : [input];
  const texts = messages.map(messageText);
  const users = messages.flatMap((message, index) => (isUser(message) ? [texts[index] ?? ""] : []));
  const system = messageText(body.system ?? body.instructions ?? body.systemInstruction ?? "");
  const all = [...texts, ...(system === "" ? [] : [system])];
  return {
    last: users.at(-1) ?? "",
    tokens: all.reduce((sum, text) => sum + tokensOf(text) + tokensPerMessage, 0),
  };
}

/** Google's contents may do without a role. */
function isUser(message: JsonValue): boolean {
  const { role, parts } = objectOf(message);
  return typeof message === "string" || role === "user" || (role === undefined && parts !== undefined);
}

/** The text of a message, a list of parts, or a plain string. */
function messageText(value: JsonValue): string {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return listOf(value).map(messageText).join("");
  const { content, parts, text } = objectOf(value);
  if (parts !== undefined) return messageText(parts);
  return content === undefined || content === null ? textOf(text) : messageText(content);
}
