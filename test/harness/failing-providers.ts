import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "#chassis/server-process.ts";
import { type FakeUpstream, type ScriptedAnswer, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { type GatewayProcess, makeDataDir, removeDataDir, startGatewayProcess } from "./gateway-process.ts";
import { type Dialect, helloAnswer } from "./provider-answers.ts";
import { type RawAnswer, sendRaw } from "./raw-request.ts";

/** What the gateway must not let out, in a form that no pattern for keys knows. */
export const canary = "canary.provider/key+7f3a9";
export const masterKey = "sk-master-of-the-tests";

/** The two dialects that clients speak, whole and streamed. */
export const calls = [
  { path: "/v1/chat/completions", dialect: "openai", stream: false },
  { path: "/v1/chat/completions", dialect: "openai", stream: true },
  { path: "/v1/messages", dialect: "anthropic", stream: false },
  { path: "/v1/messages", dialect: "anthropic", stream: true },
] as const;
export type ClientCall = (typeof calls)[number];
export const providers: readonly Dialect[] = ["openai", "anthropic"];

/** A gateway before a provider that fails as it is told and one that answers. */
export interface FailingProviders {
  readonly gateway: GatewayProcess;
  readonly sick: FakeUpstream;
  readonly well: FakeUpstream;
  /** Calls a model; `retries` is 0 if absent. */
  call(call: ClientCall, model: string, changes?: CallChanges): Promise<RawAnswer>;
  stop(): Promise<void>;
}

export interface CallChanges {
  readonly key?: string;
  readonly retries?: number;
  readonly body?: object;
}

/**
 * For each provider `<provider>-alone`, which has the sick upstream only, and `<provider>-pair`, which goes to the well
 * one next. Cooldowns are off, so that one case does not decide another.
 */
function configuration(sick: string, well: string, refused: string): string {
  const entry = (name: string, model: string, base: string, order: number) =>
    `  - model_name: ${name}\n    litellm_params: { model: ${model}, api_base: ${base}, api_key: os.environ/PROVIDER_KEY, order: ${order} }\n`;
  const models = { openai: "openai/gpt-4o", anthropic: "anthropic/claude-sonnet-4-5" };
  const paths = { openai: "/v1", anthropic: "" };
  let text = "model_list:\n";
  for (const provider of providers) {
    text += entry(`${provider}-alone`, models[provider], sick + paths[provider], 1);
    text += entry(`${provider}-pair`, models[provider], sick + paths[provider], 1);
    text += entry(`${provider}-pair`, models[provider], well + paths[provider], 2);
    text += entry(`${provider}-gone`, models[provider], refused + paths[provider], 1);
  }
  return `${text}router_settings: { disable_cooldowns: true, num_retries: 0 }\n`;
}

export async function startFailingProviders(): Promise<FailingProviders> {
  const dataDir = await makeDataDir();
  const sick = await startFakeUpstream();
  const well = await startFakeUpstream(({ url, body }) => {
    const stream = body.includes('"stream":true');
    return helloAnswer(url.endsWith("/messages") ? "anthropic" : "openai", stream);
  });
  const gone = `http://127.0.0.1:${await freePort()}`;
  const path = join(dataDir, "config.yaml");
  await writeFile(path, configuration(sick.url, well.url, gone));
  const env = { CONFIG_FILE_PATH: path, PROVIDER_KEY: canary, SLUICE_LOG: "debug" };
  const gateway = await startGatewayProcess({ entry: "services/main.ts", env, dataDir, masterKey });
  return {
    gateway,
    sick,
    well,
    call({ path: target, stream }, model, { key = masterKey, retries = 0, body = {} } = {}) {
      const headers = { authorization: `Bearer ${key}`, "x-litellm-num-retries": String(retries) };
      const whole = { model, max_tokens: 20, stream, messages: [{ role: "user", content: "Hi" }], ...body };
      return sendRaw(gateway.url + target, { headers, body: [JSON.stringify(whole)] });
    },
    async stop() {
      await gateway.stop();
      await Promise.all([sick.close(), well.close()]);
      await removeDataDir(dataDir);
    },
  };
}

/** Runs a call against one answer of the sick provider. Returns how often that was asked. */
export async function during<T>(
  { sick }: FailingProviders,
  answer: ScriptedAnswer,
  run: () => Promise<T>,
): Promise<{ result: T; asked: number }> {
  sick.answer(answer);
  const before = sick.requests.length;
  const result = await run();
  return { result, asked: sick.requests.length - before };
}
