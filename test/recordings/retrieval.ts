import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject } from "../../services/provider-adapter/provider.ts";
import { everyProvider } from "../../services/provider-adapter/testing/every-provider.ts";
import {
  numberOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";
import { type Recording, type ReplayResult, readRecordings, recordingsFolder, replay } from "./recording.ts";

/**
 * Replays recorded rerank calls of Cohere and Voyage, and Voyage's embeddings, without a network. Run it:
 * `node test/recordings/retrieval.ts [folder]`.
 */
export function replayRetrieval(folder: string = recordingsFolder): ReplayResult[] {
  const of = (provider: string, endpoint: string) =>
    readRecordings(folder, provider).filter((recording) => recording.endpoint === endpoint);
  return [
    replay("cohere rerank", of("cohere", "rerank"), checkCohere),
    replay("voyage rerank", of("voyage", "rerank"), checkVoyageRerank),
    replay("voyage embeddings", of("voyage", "embeddings"), checkVoyageEmbeddings),
  ];
}

const providers = await everyProvider();

function begin(recording: Recording, operation: Operation, body: JsonObject): Exchange {
  const provider = providers.get(recording.provider);
  if (provider === undefined) throw new Error(`there is no provider ${recording.provider}`);
  return provider.begin({
    operation,
    stream: false,
    model: textOf(body.model) || "rerank-v3.5",
    body: Buffer.from(JSON.stringify(body)),
    contentType: "application/json",
    baseUrl: "",
    settings: {},
    credential: new Secret("key"),
    headers: {},
    defaultParams: {},
    outputTokenCap: undefined,
    dropParams: false,
    allowedParams: [],
    createdAt: 1,
  });
}

const requested = ({ request }: Recording) => objectOf(parseObject(textOf(request.body)));
const answered = ({ response }: Recording) => objectOf(parseObject(textOf(response.body)));
const sentBy = ({ request }: Exchange) => objectOf(parseObject(Buffer.from(request.body).toString()));

function answerOf(exchange: Exchange, recording: Recording): JsonObject {
  const body = exchange.decodeBody(Buffer.from(textOf(recording.response.body)));
  return objectOf(parseObject(Buffer.from(body).toString()));
}

function checkCohere(recording: Recording): void {
  const body = requested(recording);
  const exchange = begin(recording, Operation.RERANK, body);
  strictEqual(new URL(exchange.request.url).pathname, new URL(textOf(recording.request.url)).pathname);
  deepStrictEqual(sentBy(exchange), { ...body, model: textOf(body.model) || "rerank-v3.5" });
  deepStrictEqual(answerOf(exchange, recording), answered(recording));
  const units = objectOf(objectOf(answered(recording).meta).billed_units).search_units;
  strictEqual(Number(exchange.outcome().usage.toolCalls), units);
}

function checkVoyageRerank(recording: Recording): void {
  const { top_k, ...body } = requested(recording);
  const asked = { query: "?", documents: ["a"], ...body, ...(top_k === undefined ? {} : { top_n: top_k }) };
  const exchange = begin(recording, Operation.RERANK, asked);
  if (top_k !== undefined) deepStrictEqual(sentBy(exchange), requested(recording));
  const ranks = objectsOf(answerOf(exchange, recording).results);
  deepStrictEqual(ranks, answered(recording).data);
  checkTokens(exchange, recording);
}

function checkVoyageEmbeddings(recording: Recording): void {
  const { output_dimension, ...body } = requested(recording);
  const asked = {
    input: "?",
    ...body,
    ...(typeof output_dimension === "number" ? { dimensions: output_dimension } : {}),
  };
  const exchange = begin(recording, Operation.EMBEDDINGS, asked);
  if (body.input !== undefined) deepStrictEqual(sentBy(exchange), body);
  const answer = answerOf(exchange, recording);
  const { data, model } = answered(recording);
  deepStrictEqual([answer.data, answer.model], [data, model]);
  strictEqual(objectOf(answer.usage).prompt_tokens, objectOf(answered(recording).usage).total_tokens);
  checkTokens(exchange, recording);
}

function checkTokens(exchange: Exchange, recording: Recording): void {
  const { total_tokens: total } = objectOf(answered(recording).usage);
  strictEqual(Number(exchange.outcome().usage.inputTokens), numberOf(total));
}

if (import.meta.main) {
  for (const { name, ran, failures } of replayRetrieval(process.argv[2])) {
    console.log(`${name}: ${ran - failures.length} of ${ran} passed`);
    for (const failure of failures) console.log(`  ${failure}`);
  }
}
