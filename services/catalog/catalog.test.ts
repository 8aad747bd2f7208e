import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { catalog, openAiRows } from "./catalog.ts";
import { leftOut } from "./left-out.ts";
import { providerRowSchema } from "./provider-row.ts";

const written: object[] = JSON.parse(readFileSync(new URL("providers.json", import.meta.url), "utf8"));

test("every row is valid, and names are used once", () => {
  assert.ok(catalog.length > 5);
  assert.deepEqual(
    written.map((row) => providerRowSchema.parse(row)),
    catalog,
  );
  assert.ok(openAiRows().every(({ base_url }) => base_url !== ""));
  const names = catalog.flatMap(({ id, aliases }) => [id, ...aliases]);
  assert.deepEqual(
    names.filter((name, index) => names.indexOf(name) !== index),
    [],
  );
});

test("what a row leaves out is filled in", () => {
  const paths = { chat_completions: "chat/completions" };
  const openAi = providerRowSchema.parse({ id: "a", kind: "openai", paths, rerank: {}, settings: [{ name: "b" }] });
  assert.ok(openAi.kind === "openai");
  const { needs_key, key_header, key_prefix, stream_usage, rerank, settings } = openAi;
  assert.deepEqual([needs_key, key_header, key_prefix, stream_usage], [true, "authorization", "Bearer ", "option"]);
  assert.deepEqual([rerank, settings], [{ form: "cohere" }, [{ name: "b", variables: [] }]]);
  const native = providerRowSchema.parse({ id: "a", kind: "native", price_names: [{ match: "^x", to: "y" }] });
  assert.ok(native.kind === "native");
  assert.deepEqual(
    [native.operations, native.price_names],
    [["chat_completions", "messages"], [{ match: /^x/, to: "y" }]],
  );
});

test("a malformed row is refused", () => {
  const [row] = written;
  assert.equal(providerRowSchema.parse(row).id, "openai");
  for (const change of [
    { base_url: "no url" },
    { base_url: "http://x/" },
    { base_url: "ftp://x" },
    { stream_usage: "sometimes" },
    { kind: "other" },
    { key_variables: ["lower"] },
    { model_names: [{ match: "(", to: "" }] },
    { extra: 1 },
  ]) {
    assert.throws(() => providerRowSchema.parse({ ...row, ...change }), JSON.stringify(change));
  }
});

test("a provider is in the catalog or left out, not both", () => {
  const names = new Set(catalog.flatMap(({ id, aliases }) => [id, ...aliases]));
  assert.deepEqual(
    leftOut.filter(({ id }) => names.has(id)),
    [],
  );
});
