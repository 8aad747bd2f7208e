import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { catalog } from "#catalog/catalog.ts";
import { TargetSchema } from "#gen/sluice/inference/v1/inference_pb.ts";
import { createProviderLookup } from "./provider-lookup.ts";
import { providerSources } from "./providers/index.ts";
import { everyProvider } from "./testing/every-provider.ts";

const row = (fields: object) => Buffer.from(JSON.stringify(fields));
const target = (provider: string, providerRow = Buffer.alloc(0)) => create(TargetSchema, { provider, providerRow });

test("built-in providers are found, and those whose row comes along are made once", async () => {
  const lookup = createProviderLookup(providerSources());
  const openai = lookup.find(target("openai"));
  assert.equal((await openai)?.id, "openai");
  assert.equal(lookup.find(target("openai", row({ id: "openai", base_url: "http://other" }))), openai);
  assert.equal(lookup.find(target("acme")), undefined);
  const acme = row({ id: "acme", base_url: "http://acme" });
  const made = lookup.find(target("acme", acme));
  assert.equal((await made)?.id, "acme");
  assert.equal(lookup.find(target("acme", Buffer.from(acme))), made);
  assert.equal(lookup.find(target("other", acme)), undefined);
  for (let at = 0; at < 1000; at += 1) lookup.find(target("x", row({ id: "x", base_url: `http://x${at}` })));
  assert.notEqual(lookup.find(target("acme", acme)), made);
});

test("code is loaded once, when it is first asked for, and at hand from then on", async () => {
  let loads = 0;
  const provider = (await everyProvider()).get("anthropic");
  assert.ok(provider);
  const load = () => {
    loads += 1;
    return loads === 1 ? Promise.reject(new Error("no such file")) : Promise.resolve(provider);
  };
  const lookup = createProviderLookup(new Map([["anthropic", load]]));
  const failing = lookup.find(target("anthropic"));
  assert.equal(lookup.find(target("anthropic")), failing);
  await assert.rejects(Promise.resolve(failing), /the code of the provider anthropic cannot be loaded/);
  const loading = lookup.find(target("anthropic"));
  assert.ok(loading instanceof Promise);
  assert.equal(lookup.find(target("anthropic")), loading);
  const loaded = await loading;
  assert.equal(lookup.find(target("anthropic")), loaded);
  assert.equal(loads, 2);
});

test("the catalog and the code know the same providers", async () => {
  const providers = await everyProvider();
  assert.deepEqual([...providers.keys()].sort(), catalog.map(({ id }) => id).sort());
  for (const [id, provider] of providers) assert.equal(provider.id, id);
});

test("a malformed row is refused", () => {
  const lookup = createProviderLookup(new Map());
  for (const fields of [{ id: "acme", base_url: 1 }, { base_url: "http://acme" }, { id: "acme", kind: "native" }, []]) {
    assert.throws(() => lookup.find(target("acme", row(fields))), /row is malformed/);
  }
});
