import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { catalog, openAiRows, parseCatalog } from "./catalog.ts";
import { leftOut } from "./left-out.ts";

test("every row is valid, and names are used once", () => {
  assert.ok(catalog.length > 5);
  assert.ok(openAiRows().every(({ base_url }) => base_url !== ""));
});

test("a malformed row is refused", () => {
  const [row] = JSON.parse(readFileSync(new URL("providers.json", import.meta.url), "utf8"));
  assert.equal(parseCatalog([row])[0]?.id, "openai");
  assert.throws(() => parseCatalog([row, row]), /twice/);
  assert.throws(() => parseCatalog([row, { ...row, id: "other" }]), /custom_openai twice/);
  for (const change of [
    { base_url: "no url" },
    { base_url: "http://x/" },
    { base_url: "ftp://x" },
    { stream_usage: "sometimes" },
    { kind: "other" },
    { key_variables: ["lower"] },
    { extra: 1 },
  ]) {
    assert.throws(() => parseCatalog([{ ...row, ...change }]), JSON.stringify(change));
  }
});

test("a provider is in the catalog or left out, not both", () => {
  const names = new Set(catalog.flatMap(({ id, aliases }) => [id, ...aliases]));
  assert.deepEqual(
    leftOut.filter(({ id }) => names.has(id)),
    [],
  );
});
