import assert from "node:assert/strict";
import { test } from "node:test";
import { readKey } from "./request-key.ts";

test("a key is found with any scheme and any space around it", () => {
  for (const authorization of ["Bearer sk-1", "bearer  sk-1", "Bearer   sk-1 ", "BEARER\tsk-1", "sk-1"]) {
    assert.equal(readKey({ authorization }), "sk-1", authorization);
  }
  assert.equal(readKey({ authorization: "Bearer ", "x-api-key": "sk-2" }), "sk-2");
  assert.equal(readKey({ authorization: "Bearer" }), undefined);
});
