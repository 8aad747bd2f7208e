import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findGatewayError } from "#chassis/errors.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject } from "./body-json.ts";
import { readShape } from "./shape.ts";
import { estimateTokens } from "./token-estimate.ts";

const messages = [{ role: "user", content: "hi" }];
const contents = [{ parts: [{ text: "hi" }] }];
const { CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, GENERATE_CONTENT, MESSAGES, RERANK, RESPONSES } = Operation;

test("limits and choices", () => {
  const cases: [Operation, JsonObject, limit: number | undefined, choices: number][] = [
    [CHAT_COMPLETIONS, { messages }, undefined, 1],
    [CHAT_COMPLETIONS, { messages, max_tokens: 5, n: 3 }, 5, 3],
    [CHAT_COMPLETIONS, { messages, max_tokens: 5, max_completion_tokens: 7 }, 7, 1],
    [CHAT_COMPLETIONS, { messages, max_tokens: null, n: null }, undefined, 1],
    [CHAT_COMPLETIONS, { messages, max_tokens: -1 }, undefined, 1],
    [CHAT_COMPLETIONS, { messages, max_tokens: 0 }, undefined, 1],
    [CHAT_COMPLETIONS, { messages, max_output_tokens: 1 }, undefined, 1],
    [MESSAGES, { messages, max_tokens: 9 }, 9, 1],
    [MESSAGES, { messages, max_completion_tokens: 1 }, undefined, 1],
    [RESPONSES, { input: "hi", max_output_tokens: 11 }, 11, 1],
    [RESPONSES, { input: "hi", max_tokens: 1, max_completion_tokens: 1 }, undefined, 1],
    [RESPONSES, { prompt: { id: "p" } }, undefined, 1],
    [COMPLETIONS, { prompt: "p", max_completion_tokens: 1 }, undefined, 1],
    [COMPLETIONS, { prompt: "p", max_tokens: 0 }, 0, 1],
    [COMPLETIONS, { prompt: ["a", "b"], n: 2, best_of: 3 }, undefined, 6],
    [COMPLETIONS, { prompt: [1, 2, 3] }, undefined, 1],
    [GENERATE_CONTENT, { contents, max_tokens: 5 }, undefined, 1],
    [GENERATE_CONTENT, { contents, generationConfig: { maxOutputTokens: 5, candidateCount: 2 } }, 5, 2],
    [GENERATE_CONTENT, { contents, generation_config: { max_output_tokens: 5, maxOutputTokens: 6 } }, 6, 1],
    [EMBEDDINGS, { input: [[1, 2], [3]] }, 0, 1],
    [RERANK, { query: "q", documents: ["a", { text: "b" }], max_tokens: 5 }, 0, 1],
  ];
  for (const [operation, body, limit, choices] of cases) {
    const shape = readShape(operation, body);
    assert.deepEqual([shape.maxOutputTokens, shape.choices], [limit, choices], JSON.stringify(body));
    assert.ok(shape.inputTokens > 0);
  }
});

test("what is there and empty is left to the provider", () => {
  const cases: [Operation, JsonObject][] = [
    [CHAT_COMPLETIONS, { messages: [] }],
    [COMPLETIONS, { prompt: [] }],
    [EMBEDDINGS, { input: "" }],
    [RESPONSES, { input: [] }],
  ];
  for (const [operation, body] of cases) assert.equal(readShape(operation, body).choices, 1, JSON.stringify(body));
});

test("what the mesh needs and cannot find is named", () => {
  const cases: [Operation, JsonObject, param: string][] = [
    [CHAT_COMPLETIONS, {}, "messages"],
    [CHAT_COMPLETIONS, { messages: null }, "messages"],
    [CHAT_COMPLETIONS, { messages: "hi" }, "messages"],
    [CHAT_COMPLETIONS, { messages: [{}, "hi"] }, "messages[1]"],
    [CHAT_COMPLETIONS, { messages, max_tokens: "5" }, "max_tokens"],
    [CHAT_COMPLETIONS, { messages, max_tokens: 1.5 }, "max_tokens"],
    [CHAT_COMPLETIONS, { messages, n: 1e12 }, "n"],
    [MESSAGES, { messages: {} }, "messages"],
    [GENERATE_CONTENT, { contents, generationConfig: {}, generation_config: {} }, "generationConfig"],
    [EMBEDDINGS, {}, "input"],
    [EMBEDDINGS, { input: 5 }, "input"],
    [COMPLETIONS, {}, "prompt"],
    [RESPONSES, {}, "input"],
    [RESPONSES, { input: "hi", background: true }, "background"],
    [RERANK, { documents: ["a"] }, "query"],
    [RERANK, { query: "q" }, "documents"],
    [RERANK, { query: "q", documents: "a" }, "documents"],
  ];
  for (const [operation, body, param] of cases) {
    try {
      readShape(operation, body);
      assert.fail(`${JSON.stringify(body)} was accepted`);
    } catch (error) {
      assert.equal(findGatewayError(ConnectError.from(error))?.param, param, JSON.stringify(body));
    }
  }
});

test("a rerank reads its query with every document and searches them by the hundred", () => {
  const query = "a".repeat(300);
  const cases: [documents: number, searches: number][] = [
    [0, 1],
    [1, 1],
    [100, 1],
    [101, 2],
  ];
  for (const [count, searches] of cases) {
    const shape = readShape(RERANK, { query, documents: Array(count).fill("abc") });
    assert.deepEqual([shape.searchUnits, shape.inputTokens], [searches, 101 * count]);
  }
  assert.equal(readShape(EMBEDDINGS, { input: "a" }).searchUnits, 0);
});

test("the estimate is above ordinary text's tokens and does not count the bytes of images", () => {
  const text = "The quick brown fox jumps over the lazy dog. ".repeat(100);
  assert.ok(estimateTokens(text) >= 1_000 && estimateTokens(text) <= 2_000);
  assert.ok(estimateTokens("漢字".repeat(100)) >= 200);
  const data = "A".repeat(300_000);
  const cases: [value: unknown, from: number, to: number][] = [
    [{ type: "image_url", image_url: { url: `data:image/png;base64,${data}` } }, 2_000, 2_100],
    [{ type: "input_image", image_url: data }, 2_000, 2_100],
    [{ type: "image", source: { type: "base64", media_type: "image/png", data } }, 2_000, 2_100],
    [{ type: "file", file: { filename: "a.pdf", file_data: data } }, 10_000, 10_100],
    [{ type: "document", source: { type: "base64", data } }, 10_000, 10_100],
    [{ type: "document", source: { type: "text", data } }, 110_000, 111_000],
    [{ type: "input_audio", input_audio: { data, format: "wav" } }, 10_000, 10_100],
    [{ inlineData: { mimeType: "image/png", data } }, 2_000, 2_100],
    [{ inline_data: { mime_type: "application/pdf", data } }, 10_000, 10_100],
    [{ inlineData: { mimeType: "text/csv", data } }, 100_000, 100_100],
    [{ fileData: { mimeType: "video/mp4", fileUri: data } }, 10_000, 10_100],
    [{ type: "text", text: data }, 100_000, 100_100],
    [{ type: "image", caption: data }, 102_000, 102_100],
    [{ data }, 100_000, 100_100],
    [[1, 2, 3, [4, 5]], 5, 6],
  ];
  for (const [value, from, to] of cases) {
    const tokens = estimateTokens(value);
    assert.ok(tokens >= from && tokens <= to, `${JSON.stringify(value).slice(0, 60)}: ${tokens}`);
  }
});

test("depth is no danger", () => {
  const depth = 200_000;
  assert.ok(estimateTokens(JSON.parse("[".repeat(depth) + "]".repeat(depth))) >= 0);
});
