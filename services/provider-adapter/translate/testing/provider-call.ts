import { readFileSync } from "node:fs";
import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { SseSplitter } from "../../sse.ts";
import { parseObject } from "../json-reading.ts";

/** A call for tests: a chat completion without a stream, unless the test says otherwise. */
export function providerCall(body: JsonObject, changes: Partial<ProviderCall> = {}): ProviderCall {
  return {
    operation: Operation.CHAT_COMPLETIONS,
    stream: false,
    model: "claude-sonnet-4-5",
    body: Buffer.from(JSON.stringify(body)),
    contentType: "application/json",
    baseUrl: "",
    settings: {},
    credential: new Secret("sk-ant-test"),
    headers: {},
    defaultParams: {},
    outputTokenCap: undefined,
    dropParams: false,
    allowedParams: [],
    createdAt: 1_700_000_000,
    ...changes,
  };
}

const fixtures = new URL("../../providers/__fixtures__/anthropic/", import.meta.url);

export function fixture(name: string): Buffer {
  return readFileSync(new URL(name, fixtures));
}

/** The events of a stream fixture. */
export function fixtureEvents(name: string): Uint8Array[] {
  return new SseSplitter().push(fixture(name));
}

/** Everything that a stream's body tells, cut into pieces of the sizes that `size` gives. */
export function toldInPieces(
  exchange: Exchange,
  bytes: Uint8Array,
  size: () => number,
  splitter: { push(chunk: Uint8Array): Uint8Array[] } = new SseSplitter(),
): Uint8Array[] {
  const payloads: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const next = at + size();
    payloads.push(...exchange.decodeEvents(splitter.push(bytes.subarray(at, next))));
    at = next;
  }
  return [...payloads, ...exchange.finish()];
}

/** Events from JSON, framed as Anthropic frames them. */
export function namedEvents(...events: readonly JsonObject[]): Uint8Array[] {
  return events.map((event) => Buffer.from(`event: ${String(event.type)}\ndata: ${JSON.stringify(event)}\n\n`));
}

export function texts(payloads: readonly Uint8Array[]): string[] {
  return payloads.map((payload) => Buffer.from(payload).toString());
}

/** The JSON objects in the data of payloads; `[DONE]` is left out. */
export function payloadObjects(payloads: readonly Uint8Array[]): JsonObject[] {
  return texts(payloads)
    .map((text) => parseObject(text.slice(text.indexOf("data: ") + "data: ".length)))
    .filter((object) => object !== undefined);
}

export function bodyObject(bytes: Uint8Array): JsonObject {
  const object = parseObject(Buffer.from(bytes).toString());
  if (object === undefined) throw new Error("not a JSON object");
  return object;
}

/** The same random numbers in every run, 0 to 1. */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}
