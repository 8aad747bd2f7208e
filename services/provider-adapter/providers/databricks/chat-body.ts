import type { JsonObject, ProviderCall } from "../../provider.ts";
import { decodeText, isObject, numberOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { withReasoningParts } from "./reasoning-content.ts";

/** Thinking budgets of `reasoning_effort`; the same as for other providers. */
const budgets: Readonly<Record<string, number>> = { minimal: 1024, low: 1024, medium: 2048, high: 4096 };
const leastBudget = 1024;

/**
 * A chat for Claude: `reasoning_effort` is a budget for thinking, and earlier thoughts are parts of their messages. Another
 * model's chat is left as it is.
 */
export function chatBody(call: ProviderCall): Uint8Array {
  const chat = parseObject(decodeText(call.body));
  if (chat === undefined) return call.body;
  const changed: JsonObject = { ...chat };
  const messages = withReasoningParts(chat.messages);
  if (messages !== undefined) changed.messages = messages;
  addThinking(changed, call.outputTokenCap);
  return messages === undefined && chat.reasoning_effort === changed.reasoning_effort
    ? call.body
    : Buffer.from(JSON.stringify(changed));
}

/** An explicit `thinking` wins. A budget has to be smaller than the output's limit, and 1024 tokens at least. */
function addThinking(chat: JsonObject, cap: number | undefined): void {
  const effort = textOf(chat.reasoning_effort);
  const budget = Object.hasOwn(budgets, effort) ? budgets[effort] : undefined;
  if (budget === undefined && effort !== "none") return;
  delete chat.reasoning_effort;
  if (budget === undefined || isObject(chat.thinking)) return;
  const asked = numberOf(chat.max_completion_tokens) || numberOf(chat.max_tokens);
  const limit = Math.min(asked > 0 ? asked : Number.POSITIVE_INFINITY, cap ?? Number.POSITIVE_INFINITY);
  if (limit <= leastBudget) return;
  chat.thinking = { type: "enabled", budget_tokens: Math.min(budget, limit - 1) };
}
