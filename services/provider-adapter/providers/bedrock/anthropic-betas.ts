import type { JsonObject } from "../../provider.ts";
import { listOf, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import type { BedrockModel } from "./bedrock-model.ts";

/**
 * Anthropic's betas that both APIs take; any other makes Bedrock refuse the call, so it is left out.
 * https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html
 */
const known = new Set([
  "computer-use-2025-01-24",
  "computer-use-2025-11-24",
  "context-1m-2025-08-07",
  "context-management-2025-06-27",
  "dev-full-thinking-2025-05-14",
  "interleaved-thinking-2025-05-14",
  "output-128k-2025-02-19",
  "token-efficient-tools-2025-02-19",
]);

/** The beta that a tool of Anthropic's needs. */
const betaOfTool: Readonly<Record<string, string>> = {
  computer_20250124: "computer-use-2025-01-24",
  computer_20251124: "computer-use-2025-11-24",
};

/**
 * A Converse request with the betas that the client asks for in the header `anthropic-beta`, and those that its tools need.
 * At Bedrock they stand in the body, of a Claude model alone.
 */
export function withBetas(body: JsonObject, header: string | undefined, model: BedrockModel): JsonObject {
  if (model.family !== "claude") return body;
  const additional = objectOf(body.additionalModelRequestFields);
  const betas = bedrockBetas((header ?? "").split(","), objectsOf(additional.tools));
  if (betas.length === 0) return body;
  return { ...body, additionalModelRequestFields: { ...additional, anthropic_beta: betas } };
}

/**
 * The betas for Invoke: those asked for that Bedrock takes, and those that the body needs. Some have other names at Bedrock
 * than at Anthropic, or are taken by some models alone, so what the body holds decides:
 * https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-search-tool (over Invoke alone),
 * https://aws.amazon.com/blogs/machine-learning/claude-opus-4-5-now-in-amazon-bedrock/,
 * https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-compaction.html
 */
export function invokeBetas(body: JsonObject, header: string | undefined, { id }: BedrockModel): string[] {
  const asked = [...(header ?? "").split(","), ...listOf(body.anthropic_beta).map(textOf)];
  const tools = objectsOf(body.tools);
  const edits = objectsOf(objectOf(body.context_management).edits);
  const needed: readonly (readonly [string, boolean])[] = [
    ["tool-search-tool-2025-10-19", tools.some((tool) => isSearch(tool) || tool.defer_loading === true)],
    ["tool-examples-2025-10-29", tools.some((tool) => Array.isArray(tool.input_examples))],
    ["effort-2025-11-24", /opus-4-5/.test(id) && objectOf(body.output_config).effort !== undefined],
    ["compact-2026-01-12", edits.some(({ type }) => type === "compact_20260112")],
  ];
  return [...bedrockBetas(asked, tools), ...needed.filter(([, isNeeded]) => isNeeded).map(([beta]) => beta)];
}

function isSearch({ type }: JsonObject): boolean {
  return textOf(type).startsWith("tool_search_tool");
}

/** Of the betas asked for those that Bedrock takes, and those that tools need. */
function bedrockBetas(asked: readonly string[], tools: readonly JsonObject[]): string[] {
  const needed = tools.map(({ type }) => betaOfTool[textOf(type)] ?? "");
  return [...new Set([...asked.map((beta) => beta.trim()), ...needed])].filter((beta) => known.has(beta));
}
