import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { catalog } from "#catalog/catalog.ts";
import { TargetSchema } from "#gen/sluice/inference/v1/inference_pb.ts";
import { createProviderLookup } from "./provider-lookup.ts";
import { createProviders } from "./providers/index.ts";

const row = (fields: object) => Buffer.from(JSON.stringify(fields));
const target = (provider: string, providerRow = Buffer.alloc(0)) => create(TargetSchema, { provider, providerRow });

test("built-in providers are found, and those whose row comes along are made once", () => {
  const builtIn = createProviders();
  const lookup = createProviderLookup(builtIn);
  assert.equal(lookup.find(target("openai")), builtIn.get("openai"));
  assert.equal(lookup.find(target("openai", row({ id: "openai", base_url: "http://other" }))), builtIn.get("openai"));
  assert.equal(lookup.find(target("acme")), undefined);
  const acme = row({ id: "acme", base_url: "http://acme" });
  const made = lookup.find(target("acme", acme));
  assert.equal(made?.id, "acme");
  assert.equal(lookup.find(target("acme", Buffer.from(acme))), made);
  assert.equal(lookup.find(target("other", acme)), undefined);
  for (let at = 0; at < 1000; at += 1) lookup.find(target("x", row({ id: "x", base_url: `http://x${at}` })));
  assert.notEqual(lookup.find(target("acme", acme)), made);
});

test("the catalog and the code know the same providers", () => {
  assert.deepEqual([...createProviders().keys()].sort(), catalog.map(({ id }) => id).sort());
});

test("a malformed row is refused", () => {
  const lookup = createProviderLookup(new Map());
  for (const fields of [{ id: "acme", base_url: 1 }, { base_url: "http://acme" }, { id: "acme", kind: "native" }, []]) {
    assert.throws(() => lookup.find(target("acme", row(fields))), /row is malformed/);
  }
});
