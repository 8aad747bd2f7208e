import assert from "node:assert/strict";
import { test } from "node:test";
import { type Route, RouteTable } from "./route-table.ts";

function route(method: Route["method"], ...paths: string[]): Route {
  return { method, paths, access: "public", handle() {} };
}

test("paths find their routes", () => {
  const table = new RouteTable([
    route("GET", "/"),
    route("GET", "/v1/models", "/models"),
    route("GET", "/v1/models/{id}"),
    route("POST", "/engines/{model}/completions"),
    route("POST", "/engines/{model}/chat/completions"),
    route("POST", "/key/{key}/reset_spend"),
    route("DELETE", "/v1/models"),
  ]);
  const cases: [path: string, template: string | undefined, parameter: string][] = [
    ["/", "/", ""],
    ["/v1/models", "/v1/models", ""],
    ["/v1/models/", "/v1/models", ""],
    ["//v1//models", "/v1/models", ""],
    ["/v1/models/gpt-4o", "/v1/models/{id}", "gpt-4o"],
    ["/v1/models/openai/gpt-4o", "/v1/models/{id}", "openai/gpt-4o"],
    ["/v1/models/openai%2Fgpt-4o", "/v1/models/{id}", "openai/gpt-4o"],
    ["/engines/a/chat/completions", "/engines/{model}/chat/completions", "a"],
    ["/engines/a/completions", "/engines/{model}/completions", "a"],
    ["/engines//completions", undefined, ""],
    ["/key/k/reset_spend", "/key/{key}/reset_spend", "k"],
    ["/v1/models/%zz", undefined, ""],
    ["/nothing", undefined, ""],
    ["/__proto__", undefined, ""],
  ];
  for (const [path, template, parameter] of cases) {
    const found = table.find(path);
    assert.equal(found?.template, template, path);
    assert.equal(found?.parameter ?? "", parameter, path);
  }
  assert.deepEqual([...(table.find("/v1/models")?.routes.keys() ?? [])], ["GET", "DELETE"]);
});

test("two routes for one path, and two parameters in one, stop the start", () => {
  assert.throws(() => new RouteTable([route("GET", "/a"), route("GET", "/a")]), /two routes for GET \/a/);
  assert.throws(() => new RouteTable([route("GET", "/{a}/{b}")]), /more than one parameter/);
});
