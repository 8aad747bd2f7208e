import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { test } from "node:test";
import { startAdapter } from "../../testing/adapter-under-test.ts";

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });

test("a call reaches the upstream with every header that its signature names", async () => {
  const seen: IncomingHttpHeaders[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers);
    response.setHeader("content-type", "application/json");
    const message = { role: "ASSISTANT", content: [{ type: "TEXT", text: "Hello!" }] };
    const usage = { promptTokens: 3, completionTokens: 2, totalTokens: 5 };
    response.end(JSON.stringify({ chatResponse: { choices: [{ index: 0, message, finishReason: "stop" }], usage } }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const baseUrl = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
  const adapter = startAdapter();
  try {
    const key = privateKey.export({ type: "pkcs8", format: "pem" });
    const owner = { oci_user: "u", oci_fingerprint: "f", oci_tenancy: "t", oci_key: key };
    const sealedCredential = adapter.seal(JSON.stringify(owner));
    const settings = { oci_compartment_id: "c" };
    const target = { provider: "oci", model: "meta.llama-4", baseUrl, sealedCredential, settings };
    const { error, text, finished } = await adapter.call({ target });
    strictEqual(error, undefined);
    strictEqual(JSON.parse(text).choices[0].message.content, "Hello!");
    deepStrictEqual([finished?.usage?.inputTokens, finished?.usage?.outputTokens], [3n, 2n]);
    const [headers = {}] = seen;
    match(headers.authorization ?? "", /^Signature version="1",keyId="t\/u\/f"/);
    for (const name of ["date", "host", "content-length", "content-type", "x-content-sha256"]) {
      match(String(headers[name]), /./, name);
    }
  } finally {
    await adapter.close();
    server.close();
    server.closeAllConnections();
  }
});
