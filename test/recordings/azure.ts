import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, Provider, ProviderCall } from "../../services/provider-adapter/provider.ts";
import { azure } from "../../services/provider-adapter/providers/azure/azure.ts";
import { azureAi } from "../../services/provider-adapter/providers/azure-ai/azure-ai.ts";
import { SseSplitter } from "../../services/provider-adapter/sse.ts";
import {
  numberOf,
  objectOf,
  parseObject,
  textOf,
  without,
} from "../../services/provider-adapter/translate/json-reading.ts";
import { type Recording, type ReplayResult, readRecordings, recordingsFolder, replay } from "./recording.ts";
import { readSse } from "./sse-reading.ts";

/**
 * Replays recorded traffic of Azure OpenAI and Azure AI Foundry through the providers `azure` and `azure_ai`, without a
 * network. The deployment is told from the recorded address: its host, its version, its name. Run it:
 * `node test/recordings/azure.ts [folder]`.
 */
export function replayAzure(folder: string = recordingsFolder): ReplayResult[] {
  const exchanges = readRecordings(folder, "azure").filter(({ endpoint }) => operations.has(endpoint));
  return [
    replay(
      "request",
      exchanges.filter(({ request }) => textOf(request.body) !== ""),
      checkRequest,
    ),
    replay(
      "answer",
      exchanges.filter(({ response }) => response.status === 200),
      checkAnswer,
    ),
    replay(
      "error",
      exchanges.filter(({ response }) => numberOf(response.status) >= 400),
      checkError,
    ),
  ];
}

const operations: ReadonlyMap<string, Operation> = new Map([
  ["chat.completions", Operation.CHAT_COMPLETIONS],
  ["responses", Operation.RESPONSES],
  ["embeddings", Operation.EMBEDDINGS],
  ["messages", Operation.MESSAGES],
]);

const recordedUrl = ({ request }: Recording) => URL.parse(textOf(request.url));
const bodyOf = ({ response }: Recording) => Buffer.from(textOf(response.body));

function providerOf(recording: Recording): Provider {
  return /\.services\.ai\.azure\.com$/.test(recordedUrl(recording)?.hostname ?? "") ? azureAi : azure;
}

function beginRecorded(recording: Recording, body: JsonObject): Exchange {
  const url = recordedUrl(recording);
  const path = url?.pathname ?? "";
  const undated = path.startsWith("/openai/v1/") ? "v1" : "";
  const dated = path.startsWith("/openai/responses") ? "2025-04-01-preview" : "";
  const call: ProviderCall = {
    operation: operations.get(recording.endpoint) ?? Operation.UNSPECIFIED,
    stream: recording.response.kind === "sse",
    model: /\/deployments\/([^/]+)/.exec(path)?.[1] ?? (textOf(body.model) || "gpt-4o"),
    body: Buffer.from(JSON.stringify(body)),
    contentType: "application/json",
    baseUrl: url?.origin ?? "https://one.openai.azure.com",
    settings: { api_version: url?.searchParams.get("api-version") ?? (undated || dated) },
    credential: new Secret("key"),
    headers: {},
    defaultParams: {},
    outputTokenCap: undefined,
    dropParams: false,
    allowedParams: [],
    createdAt: 1,
  };
  return providerOf(recording).begin(call);
}

function checkRequest(recording: Recording): void {
  const body = objectOf(parseObject(textOf(recording.request.body)));
  const { request } = beginRecorded(recording, body);
  const sent = new URL(request.url);
  const expected = recordedUrl(recording);
  strictEqual(sent.pathname, expected?.pathname.replace("//", "/"));
  if (expected?.search) strictEqual(sent.search, expected.search);
  // Some recorders left the model out: the deployment is in the address.
  const changed = ["model", "stream_options"];
  deepStrictEqual(without(objectOf(parseObject(Buffer.from(request.body).toString())), ...changed), {
    ...without(body, ...changed),
  });
}

function checkAnswer(recording: Recording): void {
  const streamed = recording.response.kind === "sse";
  const asked: JsonObject = {
    model: textOf(parseObject(textOf(recording.request.body))?.model),
    max_tokens: 9,
    ...(streamed ? { stream_options: { include_usage: true } } : {}),
  };
  const exchange = beginRecorded(recording, asked);
  const body = bodyOf(recording);
  if (streamed) {
    const splitter = new SseSplitter();
    const events = splitter.push(body);
    const rest = splitter.end();
    const all = rest === undefined ? events : [...events, rest];
    const payloads = [...all.flatMap((event) => exchange.decodeEvents([event])), ...exchange.finish()];
    deepStrictEqual(readSse(Buffer.concat(payloads).toString()), readSse(Buffer.concat(all).toString()));
  } else {
    deepStrictEqual(JSON.parse(Buffer.from(exchange.decodeBody(body)).toString()), JSON.parse(body.toString()));
  }
  checkUsage(exchange, recordedUsage(recording));
}

/** The last usage that the answer has, wherever it stands. */
function recordedUsage({ response }: Recording): JsonObject {
  const text = textOf(response.body);
  const objects =
    response.kind === "sse" ? readSse(text).map(({ data }) => objectOf(data)) : [objectOf(parseObject(text))];
  const found = objects.map(({ usage, response: inner, message }) =>
    objectOf(usage ?? objectOf(inner).usage ?? objectOf(message).usage),
  );
  return Object.assign({}, ...found);
}

function checkUsage(exchange: Exchange, recorded: JsonObject): void {
  const { usage } = exchange.outcome();
  strictEqual(usage.estimated, Object.keys(recorded).length === 0);
  if (usage.estimated) return;
  const cached = numberOf(recorded.cache_read_input_tokens) + numberOf(recorded.cache_creation_input_tokens);
  const input = numberOf(recorded.prompt_tokens) + numberOf(recorded.input_tokens) + cached;
  const output = numberOf(recorded.completion_tokens) + numberOf(recorded.output_tokens);
  const read = usage.cacheReadTokens + usage.cacheWriteTokens + usage.cacheWrite1hTokens;
  strictEqual(Number(usage.inputTokens + read), input);
  // Grok counts its reasoning beside the completion.
  const beside = numberOf(recorded.total_tokens) - input - output;
  strictEqual(Number(usage.outputTokens), output + Math.max(0, beside));
}

function checkError(recording: Recording): void {
  const status = numberOf(recording.response.status);
  const error = providerOf(recording).classifyError(status, {}, bodyOf(recording));
  const recorded = objectOf(parseObject(textOf(recording.response.body))?.error);
  deepStrictEqual([error.httpStatus, error.message, error.code], [status, recorded.message, recorded.code]);
}

if (import.meta.main) {
  for (const { name, ran, failures } of replayAzure(process.argv[2])) {
    console.log(`${name}: ${ran - failures.length} of ${ran} passed`);
    for (const failure of failures) console.log(`  ${failure}`);
  }
}
