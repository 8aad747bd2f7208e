import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createLocalClient } from "#chassis/rpc/local-client.ts";
import { SpendService } from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import { KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { bindRest } from "../rest/rest-binding.ts";
import { send } from "../testing/raw-http.ts";
import { startTestEdge, type TestEdge } from "../testing/scripted-mesh.ts";

let edge: TestEdge;
before(async () => {
  const rest = [
    bindRest(KeyService, createLocalClient(KeyService, {})),
    bindRest(SpendService, createLocalClient(SpendService, {})),
  ];
  edge = await startTestEdge({ rest });
});
after(() => edge.stop());

test("the document has every declared path in the form that REST has", async () => {
  const { status, text } = await send(`${edge.url}/openapi.json`);
  assert.equal(status, 200);
  const { paths, components } = JSON.parse(text);
  const update = paths["/key/update"].post;
  assert.match(update.description, /Changes what/);
  assert.deepEqual(update.tags, ["Key"]);
  const { properties } = components.schemas.UpdateKeyRequest;
  assert.deepEqual(properties.max_budget, {
    type: "number",
    description: "What may be spent in a budget window; 0 means nothing at all.",
  });
  assert.deepEqual(properties.models.items, { type: "string" });
  assert.equal(properties.temp_budget_expiry.format, "date-time");
  assert.equal(properties.update_mask, undefined);
  assert.equal(properties.settings, undefined);
  const info = paths["/key/info"].get.parameters;
  assert.deepEqual([info[0].name, info[0].in], ["key", "query"]);
  assert.deepEqual(paths["/spend/logs"].get.responses["200"].content["application/json"].schema, {});
  assert.ok(paths["/v1/chat/completions"].post);
  for (const [, reference] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
    assert.ok(components.schemas[reference ?? ""], reference);
  }
});

test("the page loads its viewer from here and from nowhere else", async () => {
  const page = await send(`${edge.url}/`);
  assert.match(String(page.headers["content-security-policy"]), /default-src 'self'/);
  const files = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? "");
  assert.equal(files.length, 3);
  for (const file of files) {
    assert.match(file, /^\/api-page\//);
    assert.equal((await send(`${edge.url}${file}`)).status, 200, file);
  }
  for (const name of ["package.json", "..%2Fpackage.json", "__proto__", "x"]) {
    assert.equal((await send(`${edge.url}/api-page/${name}`)).status, 404, name);
  }
});
