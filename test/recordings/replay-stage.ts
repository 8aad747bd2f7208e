import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type FakeUpstream, type ScriptedAnswer, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { type Gateway, startGateway } from "../../services/mesh/gateway.ts";
import type { JsonObject } from "../../services/provider-adapter/provider.ts";
import { makeDataDir, removeDataDir } from "../harness/gateway-process.ts";
import { modelNameOf, planExchange } from "./exchange-plan.ts";
import { upstreamModelOf } from "./recorded-upstream.ts";
import type { Recording } from "./recording.ts";

/** The key of every deployment. */
export const upstreamKey = "canary-upstream-key";

const masterKey = "sk-recordings";

/** What a provider was sent. */
export interface SentRequest {
  /** Below the exchange's own base address. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** A whole gateway in this process, and behind it a provider with an address for every exchange. */
export interface ReplayStage {
  readonly url: string;
  readonly masterKey: string;
  /** Sets what the exchange's address answers from now on; returns the list into which its requests come. */
  script(recording: Recording, answer: ScriptedAnswer): SentRequest[];
  close(): Promise<void>;
}

interface Address {
  answer: ScriptedAnswer;
  requests: SentRequest[];
}

export async function startReplayStage(recordings: readonly Recording[]): Promise<ReplayStage> {
  const addresses = new Map<string, Address>();
  const upstream = await startFakeUpstream(({ url, headers, body }) => {
    const [, name = "", path = ""] = /^\/([^/]+)(.*)$/.exec(url) ?? [];
    const address = addresses.get(name);
    if (address === undefined) return { status: 404, body: `nobody lives at ${url}` };
    address.requests.push({ path, headers, body });
    return address.answer;
  });
  const dataDir = await makeDataDir();
  let gateway: Gateway | undefined;
  const close = async () => {
    await gateway?.close();
    await upstream.close();
    await removeDataDir(dataDir);
  };
  try {
    gateway = await startGateway(await environmentOf(dataDir, recordings, upstream));
  } catch (error) {
    await close();
    throw error;
  }
  return {
    url: `http://127.0.0.1:${gateway.port}`,
    masterKey,
    script(recording, answer) {
      const requests: SentRequest[] = [];
      addresses.set(recording.id, { answer, requests });
      return requests;
    },
    close,
  };
}

async function environmentOf(
  dataDir: string,
  recordings: readonly Recording[],
  upstream: FakeUpstream,
): Promise<Record<string, string>> {
  const configFile = join(dataDir, "config.yaml");
  // JSON is YAML.
  await writeFile(configFile, JSON.stringify(gatewayConfig(recordings, upstream.url)));
  return {
    SLUICE_DATA_DIR: dataDir,
    CONFIG_FILE_PATH: configFile,
    LITELLM_MASTER_KEY: masterKey,
    PORT: "0",
    HOST: "127.0.0.1",
    SLUICE_LOG: "error",
  };
}

/** One attempt only: what a recorded failure becomes is to be seen. */
function gatewayConfig(recordings: readonly Recording[], url: string): JsonObject {
  return {
    model_list: recordings.flatMap((recording) => {
      const plans = planExchange(recording);
      const [plan] = "skipped" in plans ? [] : plans;
      if (plan === undefined) return [];
      const { prefix, base, settings } = plan.upstream;
      const model = `${prefix}/${upstreamModelOf(recording)}`;
      const params = { model, api_key: upstreamKey, api_base: `${url}/${recording.id}${base}`, ...settings };
      return [{ model_name: modelNameOf(recording), litellm_params: params }];
    }),
    router_settings: { num_retries: 0, disable_cooldowns: true },
  };
}
