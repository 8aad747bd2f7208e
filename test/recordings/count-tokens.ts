import { strictEqual } from "node:assert/strict";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { everyProvider } from "../../services/provider-adapter/testing/every-provider.ts";
import { numberOf, parseObject, textOf } from "../../services/provider-adapter/translate/json-reading.ts";
import { chatCall } from "./native-providers.ts";
import { type Recording, type ReplayResult, readAllRecordings, recordingsFolder, replay } from "./recording.ts";

const providers = await everyProvider();

/** Recorded providers that count tokens in a dialect of their own, and their ids. Anthropic's go through the gateway. */
const counters: Readonly<Record<string, string>> = { bedrock: "bedrock", gemini: "gemini", vertex: "vertex_ai" };

/** Replays recorded counts through the providers that can be asked for one. */
export function replayCountTokens(folder: string = recordingsFolder): ReplayResult[] {
  const counted = readAllRecordings(folder).filter(
    ({ provider, endpoint, response }) =>
      endpoint === "count_tokens" &&
      response.status === 200 &&
      providers.get(counters[provider] ?? "")?.countTokens !== undefined,
  );
  const check = ({ provider, model, response }: Recording) => {
    const body = JSON.stringify({ max_tokens: 9, messages: [{ role: "user", content: "Hello" }] });
    const call = { ...chatCall(model, body), operation: Operation.MESSAGES };
    const count = providers.get(counters[provider] ?? "")?.countTokens?.(call);
    const text = textOf(response.body);
    const answer = parseObject(text) ?? {};
    strictEqual(count?.read(Buffer.from(text)), numberOf(answer.totalTokens) || numberOf(answer.inputTokens));
  };
  return [replay("token counts", counted, check)];
}
