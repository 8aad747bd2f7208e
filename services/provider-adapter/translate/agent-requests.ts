import type { JsonObject } from "../provider.ts";
import { textOf } from "./json-reading.ts";

/**
 * Parameters that agents which speak Anthropic's dialect, Claude Code above all, send to whatever model they are pointed
 * at, by their names in any dialect. A provider that does not have one leaves it out: see `ProviderCall.hints`.
 */
export const agentHints: readonly string[] = ["parallel_tool_calls", "reasoning_effort", "thinking", "user"];

/** Tools that Anthropic runs itself. */
const serverTools = /^(?:advisor|code_execution|tool_search_tool|web_fetch|web_search)_/;

/**
 * The tools of a Messages request for a provider that is not Anthropic. Those that Anthropic runs itself are left out
 * beside others, which an agent can work with; where there are no others, the call is about them.
 */
export function withoutServerTools(tools: readonly JsonObject[]): readonly JsonObject[] {
  const own = tools.filter(({ type }) => !serverTools.test(textOf(type)));
  return own.length === 0 ? tools : own;
}
