import type { JsonObject } from "../../provider.ts";
import { objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import type { BedrockModel } from "./bedrock-model.ts";

/**
 * Anthropic's betas that Converse takes; any other makes it refuse the call, so it is left out.
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

/** Of the betas asked for those that Bedrock takes, and those that tools need. */
export function bedrockBetas(asked: readonly string[], tools: readonly JsonObject[]): string[] {
  const needed = tools.map(({ type }) => betaOfTool[textOf(type)] ?? "");
  return [...new Set([...asked.map((beta) => beta.trim()), ...needed])].filter((beta) => known.has(beta));
}
