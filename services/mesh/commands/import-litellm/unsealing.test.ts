import assert from "node:assert/strict";
import { createCipheriv, hkdfSync } from "node:crypto";
import { test } from "node:test";
import { Secret } from "#chassis/secret.ts";
import { createUnsealer } from "./unsealing.ts";

const salt = new Secret("sk-salt-of-the-fixture");
/** LiteLLM 1.106.2 has sealed these two. */
const box = "dO2iLI3wj6UT1-30YY1lwEf5V_tM7PqFu34RMyrRQXAxv69x-wKadtcGm34A1KzML_g5slhPM5Y=";
const gcm = "v2:gcm:uBzvoTZG592-VC-J91D3WujEI3ljhvtk4A9WPschQd0pQRCLB9gL2GVzZ93Z_ga_zA==";

/** As LiteLLM's third form: the key is stretched by HKDF. */
function sealStretched(text: string): string {
  const key = Buffer.from(hkdfSync("sha256", salt.reveal(), "", "litellm-at-rest-v3", 32));
  const nonce = Buffer.alloc(12, 7);
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  const sealed = Buffer.concat([nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
  return `v3:gcm:${sealed.toString("base64url")}`;
}

test("opens every cipher of LiteLLM under the key, and tells what is not sealed from what does not open", () => {
  const unseal = createUnsealer([salt]);
  const cases: [text: string, expected: object][] = [
    [box, { state: "opened", value: "sk-upstream-echo" }],
    [box.replaceAll("-", "+").replaceAll("_", "/"), { state: "opened", value: "sk-upstream-echo" }],
    [gcm, { state: "opened", value: "sk-upstream-gcm-model" }],
    [sealStretched("third"), { state: "opened", value: "third" }],
    ["os.environ/OPENAI_API_KEY", { state: "plain", value: "os.environ/OPENAI_API_KEY" }],
    ["gpt-4o", { state: "plain", value: "gpt-4o" }],
    ["https://example.com/a/very/long/address/that/goes/on/and/on/and/on", { state: "plain" }],
    ["", { state: "plain", value: "" }],
    [`${box.slice(0, -8)}AAAAAA==`, { state: "closed" }],
    ["v2:gcm:AAAA", { state: "closed" }],
    [gcm.replace("v2", "v3"), { state: "closed" }],
  ];
  for (const [text, expected] of cases) assert.partialDeepStrictEqual(unseal(text), expected, text);
});

test("tries all keys it is given, and opens nothing without one", () => {
  const other = new Secret("another");
  assert.equal(createUnsealer([other, salt])(box).state, "opened");
  assert.equal(createUnsealer([other])(box).state, "closed");
  assert.equal(createUnsealer([])(gcm).state, "closed");
});
