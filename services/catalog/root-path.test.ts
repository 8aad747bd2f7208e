import assert from "node:assert/strict";
import { test } from "node:test";
import { withRootPath } from "./root-path.ts";

test("an address is completed by what is missing of the root path", () => {
  const cases: [string, string | undefined, string][] = [
    ["http://host", "/v1", "http://host/v1"],
    ["http://host//", "/v1", "http://host/v1"],
    ["http://host/v1/", "/v1", "http://host/v1"],
    ["http://host/behind", "/v1", "http://host/behind/v1"],
    ["http://v1", "/v1", "http://v1/v1"],
    ["http://host/api/v2", "/api/v2/genai", "http://host/api/v2/genai"],
    ["http://host/api", "/api/v2/genai", "http://host/api/v2/genai"],
    ["http://host/api/v2/genai", "/api/v2/genai", "http://host/api/v2/genai"],
    ["http://host/x/", undefined, "http://host/x"],
  ];
  for (const [address, rootPath, expected] of cases) assert.equal(withRootPath(address, rootPath), expected, address);
});
