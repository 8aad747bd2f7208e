import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { startAdapter } from "../../testing/adapter-under-test.ts";

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });

test("calls go to the project with a token that a service account's key was exchanged for, once", async () => {
  const seen: (readonly [string, string])[] = [];
  const server = createServer((request, response) => {
    seen.push([request.url ?? "", request.headers.authorization ?? ""]);
    response.setHeader("content-type", "application/json");
    const candidate = { content: { parts: [{ text: "Hello!" }] }, finishReason: "STOP" };
    const answer = { candidates: [candidate], usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 2 } };
    response.end(JSON.stringify(request.url === "/token" ? { access_token: "t", expires_in: 3600 } : answer));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const baseUrl = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
  const adapter = startAdapter();
  try {
    const key = {
      type: "service_account",
      project_id: "p",
      private_key: privateKey.export({ type: "pkcs8", format: "pem" }),
      token_uri: `${baseUrl}/token`,
    };
    const sealedCredential = adapter.seal(JSON.stringify({ vertex_credentials: JSON.stringify(key) }));
    const settings = { vertex_location: "global" };
    const target = { provider: "vertex_ai", model: "gemini-2.5-pro", baseUrl, sealedCredential, settings };
    for (let nth = 0; nth < 2; nth++) {
      const { error, text, finished } = await adapter.call({ target });
      strictEqual(error, undefined);
      strictEqual(JSON.parse(text).choices[0].message.content, "Hello!");
      deepStrictEqual([finished?.usage?.inputTokens, finished?.usage?.outputTokens], [3n, 2n]);
    }
    const path = "/v1beta1/projects/p/locations/global/publishers/google/models/gemini-2.5-pro:generateContent";
    deepStrictEqual(seen, [
      ["/token", ""],
      [path, "Bearer t"],
      [path, "Bearer t"],
    ]);
  } finally {
    await adapter.close();
    server.close();
    server.closeAllConnections();
  }
});
