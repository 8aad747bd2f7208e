import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { freePort } from "#chassis/server-process.ts";
import {
  type GatewayProcess,
  makeDataDir,
  meshAvailable,
  removeDataDir,
  startGatewayProcess,
} from "./harness/gateway-process.ts";
import { generateKey, spendRows } from "./harness/spend.ts";

/** A provider that is a process of its own, behind a gateway of one process and of five. */
const placements = [
  ["one process", "services/main.ts"],
  ...(meshAvailable() ? [["the mesh", "services/mesh/local-mesh.ts"] as const] : []),
] as const;

async function startParrot(port: number): Promise<{ child: ChildProcess; port: number }> {
  const script = join(import.meta.dirname, "harness/parrot-service.ts");
  const child = spawn(process.execPath, [script, String(port)], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(child.stdout, "data");
  return { child, port: Number(String(line)) };
}

for (const [placement, entry] of placements) {
  describe(`a provider over gRPC, ${placement}`, () => {
    let parrot: { child: ChildProcess; port: number };
    let gateway: GatewayProcess;
    let dataDir: string;
    before(async () => {
      dataDir = await makeDataDir();
      parrot = await startParrot(await freePort());
      const config = join(dataDir, "config.yaml");
      const prices = "input_cost_per_token: 0.000001, output_cost_per_token: 0.000002";
      const params = `model: grpc/polly, api_base: "grpc://127.0.0.1:${parrot.port}", num_retries: 0, ${prices}`;
      await writeFile(config, `model_list: [{ model_name: parrot, litellm_params: { ${params} } }]\n`);
      gateway = await startGatewayProcess({ entry, env: { CONFIG_FILE_PATH: config }, dataDir });
    });
    after(async () => {
      parrot?.child.kill();
      await gateway?.stop();
      await removeDataDir(dataDir);
    });

    const say = (content: string, fields: Record<string, unknown> = {}, key?: string, signal?: AbortSignal) =>
      gateway.request("/v1/chat/completions", {
        key,
        signal,
        body: { model: "parrot", messages: [{ role: "user", content }], ...fields },
      });

    test("a whole answer is priced and recorded", async () => {
      const key = await generateKey(gateway);
      const response = await say("Polly wants a cracker", {}, key);
      assert.equal(response.status, 200);
      assert.match(await response.text(), /"model":"polly".*"content":"Polly wants a cracker"/);
      const [row] = await spendRows(gateway, key, 1);
      assert.equal(row?.prompt_tokens, 5);
      assert.equal(row.completion_tokens, 4);
      assert.equal(row.cost_nano_usd, 13_000);
    });

    test("a stream", async () => {
      const text = await (await say("a b", { stream: true })).text();
      assert.deepEqual(
        [...text.matchAll(/"content":"(\w)"/g)].map((match) => match[1]),
        ["a", "b"],
      );
      assert.ok(text.endsWith("data: [DONE]\n\n"));
    });

    test("a client that hangs up is charged for what it got", async () => {
      const key = await generateKey(gateway);
      const hangUp = new AbortController();
      const response = await say("forever", { stream: true }, key, hangUp.signal);
      await response.body?.getReader().read();
      hangUp.abort();
      const [row] = await spendRows(gateway, key, 1);
      assert.equal(row?.usage_status, "aborted");
      assert.equal(row.usage_estimated, true);
    });

    test("a service that is killed in mid-stream, and comes back", async () => {
      const key = await generateKey(gateway);
      const response = await say("forever", { stream: true }, key);
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      let text = (await reader?.read())?.value ?? "";
      parrot.child.kill("SIGKILL");
      for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) text += next.value;
      assert.match(text, /data: \{"error":\{.*"code":"502"\}\}\n\n$/);
      assert.doesNotMatch(text, /\[DONE\]/);
      const [row] = await spendRows(gateway, key, 1);
      assert.equal(row?.usage_status, "failed");
      const refused = await say("a");
      assert.equal(refused.status, 500);
      assert.match(await refused.text(), /the connection was refused/);
      parrot = await startParrot(parrot.port);
      const again = await say("a");
      assert.equal(again.status, 200, await again.text());
    });
  });
}
