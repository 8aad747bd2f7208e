import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { createSealer, keyIdOf } from "./sealing.ts";
import { Secret } from "./secret.ts";

test("what is sealed opens with the same key only", () => {
  const sealed = createSealer(new Secret("sk-1234")).seal(new Secret("sk-provider-ü"));
  assert.equal(createSealer(new Secret("sk-1234")).open(sealed).reveal(), "sk-provider-ü");
  assert.throws(() => createSealer(new Secret("sk-other")).open(sealed), /under another key/);
});

test("what was sealed before keys were named opens with the same key", () => {
  const sealed = Buffer.from("AdzDeeQENcHUCIJMT65bD+/jUOzvqURkQO1IFkbNkgBFpq3ntT23y9TzCw==", "base64");
  assert.equal(createSealer(new Secret("sk-1234")).open(sealed).reveal(), "sk-provider-ü");
  assert.throws(() => createSealer(new Secret("sk-other")).open(sealed), /under another key/);
});

test("what is sealed names its key, and a key has the same name everywhere", () => {
  const [one, two] = [createSealer(new Secret("sk-1234")), createSealer(new Secret("sk-1234"))];
  assert.equal(keyIdOf(one.seal(new Secret(""))), two.keyId);
  assert.notEqual(createSealer(new Secret("sk-1235")).keyId, one.keyId);
  assert.match(one.keyId, /^[0-9a-f]{16}$/);
  assert.equal(keyIdOf(new Uint8Array([1, 2, 3])), undefined);
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
