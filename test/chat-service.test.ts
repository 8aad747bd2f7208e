import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { findGatewayError } from "#chassis/errors.ts";
import { ChatService } from "#gen/sluice/chat/v1/chat_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import {
  type GatewayProcess,
  makeDataDir,
  meshAvailable,
  removeDataDir,
  startGatewayProcess,
} from "./harness/gateway-process.ts";
import { generateKey, spendRows } from "./harness/spend.ts";

/** Typed chats against the real process, of one process and of five. */
const placements = [
  ["one process", "services/main.ts"],
  ...(meshAvailable() ? [["the mesh", "services/mesh/local-mesh.ts"] as const] : []),
] as const;

const messages = [{ role: "user", content: { case: "text" as const, value: "Hello, typed world!" } }];

for (const [placement, entry] of placements) {
  describe(`chats over gRPC, ${placement}`, () => {
    let gateway: GatewayProcess;
    let dataDir: string;
    before(async () => {
      dataDir = await makeDataDir();
      gateway = await startGatewayProcess({ entry, dataDir });
    });
    after(async () => {
      await gateway?.stop();
      await removeDataDir(dataDir);
    });

    const client = (key: string, http2 = true) => {
      const at = { baseUrl: gateway.url };
      const transport = http2 ? createGrpcTransport(at) : createConnectTransport({ ...at, httpVersion: "1.1" });
      return { chat: createClient(ChatService, transport), headers: { authorization: `Bearer ${key}` } };
    };

    test("whole and streamed, each with its record", async () => {
      const key = await generateKey(gateway);
      const { chat, headers } = client(key);
      const whole = await chat.createChatCompletion({ chat: { model: "mock/echo", messages } }, { headers });
      assert.deepEqual(whole.completion?.choices[0]?.message?.content, messages[0]?.content);
      assert.ok((whole.summary?.usage?.outputTokens ?? 0n) > 0n);
      let text = "";
      let ends = 0;
      const stream = chat.streamChatCompletion({ chat: { model: "mock/echo", messages } }, { headers });
      for await (const { event } of stream) {
        if (event.case === "summary") ends += 1;
        const content = event.case === "chunk" ? event.value.choices[0]?.delta?.content : undefined;
        if (content?.case === "text") text += content.value;
      }
      assert.equal(text, "Hello, typed world!");
      assert.equal(ends, 1);
      const rows = await spendRows(gateway, key, 2);
      assert.deepEqual(rows.map(({ stream: streamed }) => streamed).sort(), [false, true]);
    });

    test("a key's limits hold here too", async () => {
      const key = await generateKey(gateway, { rpm_limit: 1, models: ["mock/echo"] });
      const { chat, headers } = client(key, false);
      const ask = (model: string) => chat.createChatCompletion({ chat: { model, messages } }, { headers });
      const denied = await ask("mock/other").then(() => assert.fail(), ConnectError.from);
      assert.equal(findGatewayError(denied)?.reason, Reason.MODEL_ACCESS_DENIED);
      await ask("mock/echo");
      const limited = await ask("mock/echo").then(() => assert.fail(), ConnectError.from);
      assert.equal(limited.code, Code.ResourceExhausted);
      assert.equal(findGatewayError(limited)?.reason, Reason.RATE_LIMITED);
    });

    test("what is inside is not served outside", async () => {
      const path = "/sluice.auth.v1.AuthService/Authenticate";
      const response = await gateway.request(path, { body: { keyHash: "a" } });
      assert.equal(response.status, 404);
    });
  });
}
