import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonValue } from "../../provider.ts";
import { MessageUsage } from "./message-usage.ts";

test("counts that no call can have are not counted, wherever they stand", () => {
  for (const count of [-1, 1e15, 1e300, "7", null, {}] satisfies JsonValue[]) {
    const usage = new MessageUsage();
    usage.read({
      input_tokens: count,
      output_tokens: count,
      cache_read_input_tokens: count,
      cache_creation_input_tokens: count,
      cache_creation: { ephemeral_5m_input_tokens: count, ephemeral_1h_input_tokens: count },
      output_tokens_details: { thinking_tokens: count },
      server_tool_use: { web_search_requests: count },
      iterations: [{ type: "compaction", input_tokens: count, output_tokens: count }],
    });
    const { $typeName: _name, estimated: _estimated, ...counts } = usage.canonical();
    for (const [name, value] of Object.entries(counts)) assert.ok(value === 0n || value === undefined, name);
  }
});

test("a fraction of a token is cut off", () => {
  const usage = new MessageUsage();
  usage.read({
    input_tokens: 1.5,
    cache_creation: { ephemeral_5m_input_tokens: 2.5, ephemeral_1h_input_tokens: 3.5 },
    server_tool_use: { web_search_requests: 4.5 },
  });
  const { inputTokens, cacheWriteTokens, cacheWrite1hTokens, toolCalls } = usage.canonical();
  assert.deepEqual([inputTokens, cacheWriteTokens, cacheWrite1hTokens, toolCalls], [1n, 2n, 3n, 4n]);
});
