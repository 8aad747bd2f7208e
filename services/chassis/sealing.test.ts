import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { createSealer } from "./sealing.ts";
import { Secret } from "./secret.ts";

test("what is sealed opens with the same key only", () => {
  const sealed = createSealer(new Secret("sk-1234")).seal(new Secret("sk-provider-ü"));
  assert.equal(createSealer(new Secret("sk-1234")).open(sealed).reveal(), "sk-provider-ü");
  assert.throws(() => createSealer(new Secret("sk-other")).open(sealed), /under another key/);
});

test("every changed byte is noticed", () => {
  const sealer = createSealer(new Secret("k"));
  const sealed = sealer.seal(new Secret("abc"));
  for (let i = 0; i < sealed.length; i++) {
    const changed = Uint8Array.from(sealed);
    changed[i] = (changed[i] ?? 0) ^ 1;
    assert.throws(() => sealer.open(changed), `byte ${i}`);
  }
  assert.throws(() => sealer.open(new Uint8Array()));
});

test("a secret does not print", () => {
  const secret = new Secret("canary");
  for (const text of [`${secret}`, JSON.stringify({ secret }), inspect(secret), inspect({ a: [secret] })]) {
    assert.ok(!text.includes("canary"), text);
  }
});
