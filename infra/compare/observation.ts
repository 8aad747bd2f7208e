import type { FakeUpstream, RecordedRequest } from "#chassis/testing/fake-upstream.ts";
import type { JsonObject, JsonValue } from "../../services/provider-adapter/provider.ts";
import {
  isObject,
  numberOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";
import type { CompareCase } from "./cases.ts";
import type { Deployment } from "./deployments.ts";
import type { Gateway } from "./litellm.ts";
import { failureMessage, isCall } from "./scripted-upstream.ts";

/** What one gateway did with one request. */
export interface Observation {
  /** What reached the provider: path, the headers that say something, body. Null where nothing did. */
  readonly upstream: JsonValue;
  /** What the client got: a body, or what a stream says. */
  readonly client: JsonObject;
}

/** Headers of a provider's; others are the transport's. A signature is told by its kind. */
const tellingHeaders = [
  "authorization",
  "x-api-key",
  "api-key",
  "x-goog-api-key",
  "anthropic-version",
  "anthropic-beta",
];

/** Sends a request through a gateway and tells what happened at both ends. */
export async function observe(
  gateway: Gateway,
  upstream: FakeUpstream,
  deployment: Deployment,
  own: CompareCase,
): Promise<Observation> {
  const before = upstream.requests.length;
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${gateway.key}`, "content-type": "application/json" },
    body: JSON.stringify({ model: deployment.name, ...own.body }),
    signal: AbortSignal.timeout(60_000),
  });
  const text = await response.text();
  const calls = upstream.requests.slice(before).filter(isCall);
  const streamed = (response.headers.get("content-type") ?? "").startsWith("text/event-stream");
  const answer = streamed ? readStream(text) : withoutIds(objectOf(parseObject(text)));
  const answered = calls.map(describeRequest);
  return {
    upstream: answered.length === 1 ? (answered[0] ?? null) : answered,
    client: { status: response.status, ...answer },
  };
}

const generateContent = /:(?:stream)?generateContent/i;

function describeRequest({ url, headers, body }: RecordedRequest): JsonObject {
  const told = tellingHeaders.flatMap((name): [string, string][] => {
    const value = headers[name];
    return typeof value === "string" ? [[name, value.replace(/^(AWS4-HMAC-SHA256) .*/, "$1")]] : [];
  });
  const parsed = parseObject(body.toString()) ?? body.toString();
  return {
    path: decodeURIComponent(url),
    headers: Object.fromEntries(told),
    body: generateContent.test(url) ? camelCase(parsed) : parsed,
  };
}

/** Google takes both spellings of a member, `inline_data` and `inlineData`; names in schemas are left alone. */
function camelCase(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(camelCase);
  if (!isObject(value)) return value;
  const spelt = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(
    Object.entries(value).map(([name, own]) => [spelt(name), name === "properties" ? own : camelCase(own)]),
  );
}

/** Identifiers and times differ by nature; of an error's message counts whether it is the provider's. */
function withoutIds(body: JsonObject): JsonObject {
  if (isObject(body.error)) return { error: describeError(body.error) };
  const { id, created, system_fingerprint: _, ...rest } = body;
  return { ...rest, id: typeof id, created: typeof created };
}

function describeError(error: JsonObject): JsonObject {
  const message = textOf(error.message);
  if (!message.includes(failureMessage)) return { ...error, message: message.slice(0, 160) };
  return { ...error, message: message === failureMessage ? "as the provider said" : "the provider's words in others" };
}

/** What a stream says, put together: texts, calls, finishes, usage, and how it ends. */
function readStream(text: string): JsonObject {
  const events = text.split(/\r?\n\r?\n/).filter((event) => event.trim() !== "");
  const chunks = events
    .map((event) => parseObject(event.replace(/^data: ?/, "")))
    .filter((chunk) => chunk !== undefined);
  const choices = chunks.flatMap((chunk) => objectsOf(chunk.choices));
  const deltas = choices.map(({ delta }) => objectOf(delta));
  const joined = (name: string) => deltas.map((delta) => textOf(delta[name])).join("");
  const calls: JsonObject[] = [];
  for (const call of deltas.flatMap((delta) => objectsOf(delta.tool_calls))) addCall(calls, call);
  const usages = chunks.map(({ usage }) => usage).filter((usage) => isObject(usage));
  const failure = chunks.find(({ error }) => isObject(error))?.error;
  return {
    first: Object.fromEntries(Object.keys(chunks[0] ?? {}).map((name) => [name, true])),
    content: joined("content"),
    reasoning_content: joined("reasoning_content"),
    tool_calls: calls,
    roles: deltas.map((delta) => textOf(delta.role)).filter((role) => role !== ""),
    finishes: choices.map(({ finish_reason }) => textOf(finish_reason)).filter((reason) => reason !== ""),
    usage: usages.at(-1) ?? null,
    usages: usages.length,
    error: isObject(failure) ? describeError(failure) : null,
    done: events.at(-1)?.trim() === "data: [DONE]",
  };
}

function addCall(calls: JsonObject[], part: JsonObject): void {
  const index = numberOf(part.index);
  const { name, arguments: args } = objectOf(part.function);
  const known = calls[index] ?? { id: typeof part.id, name: textOf(name), arguments: "" };
  calls[index] = { ...known, arguments: textOf(known.arguments) + textOf(args) };
}
