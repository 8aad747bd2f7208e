import { existsSync, readFileSync } from "node:fs";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { parse } from "yaml";
import { AwsEventStreamSplitter } from "../../services/provider-adapter/aws-eventstream.ts";
import { NdjsonSplitter } from "../../services/provider-adapter/ndjson.ts";
import type { Exchange, JsonObject, JsonValue } from "../../services/provider-adapter/provider.ts";
import { SseSplitter } from "../../services/provider-adapter/sse.ts";
import { chatRequests } from "../../services/provider-adapter/testing/conformance-cases.ts";
import { everyProvider } from "../../services/provider-adapter/testing/every-provider.ts";
import { isObject, objectOf, parseObject, textOf } from "../../services/provider-adapter/translate/json-reading.ts";
import explained from "./explained-schemas.json" with { type: "json" };
import { chatCall, type NativeProvider, nativeProviders } from "./native-providers.ts";
import { type Recording, type ReplayResult, recordingsFolder, replay } from "./recording.ts";
import { smithySchemas } from "./smithy-schema.ts";

const providers = await everyProvider();

/**
 * What is answered to a chat completion client against OpenAI's description, and what is sent to Bedrock and Mistral
 * against theirs. The descriptions lie beside the recordings; without them there is nothing to do.
 */
export function replaySchemas(recordings: readonly Recording[], folder: string = recordingsFolder): ReplayResult[] {
  const specs = `${folder}/../reference/specs`;
  if (!existsSync(specs)) return [];
  const openAi = openApi(`${specs}/openai-openapi.yaml`);
  const answer = openAi("CreateChatCompletionResponse");
  const chunk = openAi("CreateChatCompletionStreamResponse");
  const chats = recordings.filter(({ endpoint, request }) => isChatRequest(endpoint, request));
  return [
    ...nativeProviders.map((native) => {
      const own = recordings.filter((recording) => isAnswer(native, recording));
      return replay(`schema of answers, ${native.id} ${native.dialect}`, own, (recording) =>
        checkAnswer(native, recording, answer, chunk),
      );
    }),
    requestsTo("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", chats, converseRequest(specs)),
    requestsTo("bedrock", "us.amazon.nova-pro-v1:0", chats, converseRequest(specs)),
    requestsTo(
      "mistral",
      "mistral-large-latest",
      chats.filter(({ provider }) => plainClients.has(provider)),
      openApi(`${specs}/mistral-openapi.yaml`)("ChatCompletionRequest"),
    ),
  ];
}

/** Providers whose clients send nothing but what OpenAI or Mistral describe; others' extensions are no matter of Mistral's. */
const plainClients = new Set(["azure", "mistral", "openai"]);

function isChatRequest(endpoint: string, request: JsonObject): boolean {
  return endpoint === "chat.completions" && Array.isArray(parseObject(textOf(request.body))?.messages);
}

function isAnswer({ provider, endpoints }: NativeProvider, recording: Recording): boolean {
  const { response, endpoint } = recording;
  const isWhole = response.body !== undefined || response.body_base64 !== undefined;
  return recording.provider === provider && endpoints.test(endpoint) && response.status === 200 && isWhole;
}

/** The schemas of an OpenAPI description, by name. */
function openApi(file: string): (name: string) => ValidateFunction {
  const { components } = objectOf(parse(readFileSync(file, "utf8")));
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: false });
  ajv.addSchema({ $id: "https://spec.test/", components: withNull(components ?? {}) });
  return (name) => ajv.compile({ $ref: `https://spec.test/#/components/schemas/${name}` });
}

/** `nullable` is OpenAPI's former word for what may be null too. */
function withNull(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(withNull);
  if (!isObject(value)) return value;
  const { nullable, ...rest } = Object.fromEntries(Object.entries(value).map(([name, own]) => [name, withNull(own)]));
  return nullable === true ? { anyOf: [rest, { type: "null" }] } : rest;
}

function converseRequest(specs: string): ValidateFunction {
  const model = objectOf(parseObject(readFileSync(`${specs}/bedrock-runtime-2023-09-30.json`, "utf8")));
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  return ajv.compile({ ...smithySchemas(model), $ref: "#/$defs/ConverseRequest" });
}

function assertValid(validate: ValidateFunction, value: JsonObject | undefined): void {
  if (validate(value)) return;
  const [error] = validate.errors ?? [];
  const where = `${error?.instancePath ?? ""} ${error?.message ?? ""} ${JSON.stringify(error?.params ?? {})}`;
  throw new Error(`${where}: ${JSON.stringify(value).slice(0, 300)}`);
}

function checkAnswer(
  native: NativeProvider,
  recording: Recording,
  answer: ValidateFunction,
  chunk: ValidateFunction,
): void {
  const { response, model } = recording;
  const bytes = bytesOf(response);
  const stream = response.kind !== "json";
  const body = { max_tokens: 9, stream, stream_options: { include_usage: true }, ...chatRequests.tools };
  const exchange = providers.get(native.id)?.begin(chatCall(model || "model", JSON.stringify(body), stream));
  if (exchange === undefined) throw new Error("there is no such provider");
  if (!stream) {
    assertValid(answer, parseObject(Buffer.from(exchange.decodeBody(bytes)).toString()));
    return;
  }
  for (const payload of [...exchange.decodeEvents(split(exchange, bytes, response)), ...exchange.finish()]) {
    const data = Buffer.from(payload)
      .toString()
      .replace(/^data: /, "")
      .trim();
    if (data !== "[DONE]") assertValid(chunk, parseObject(data));
  }
}

function bytesOf({ body, body_base64 }: JsonObject): Buffer {
  return typeof body_base64 === "string" ? Buffer.from(body_base64, "base64") : Buffer.from(textOf(body));
}

/** The events of a stream; the elements of a list are events that were asked for in another form. */
function split({ framing }: Exchange, recorded: Buffer, { kind }: JsonObject): Uint8Array[] {
  if (kind === "json-array-stream") {
    const elements: unknown[] = JSON.parse(recorded.toString());
    return elements.map((element) => Buffer.from(`data: ${JSON.stringify(element)}\n\n`));
  }
  // One recorder left the blank lines between events out.
  const text = recorded.toString();
  const run = kind === "sse" && !text.trim().includes("\n\n");
  const bytes = run ? Buffer.from(text.replaceAll("\ndata: ", "\n\ndata: ")) : recorded;
  const splitter =
    framing === "ndjson"
      ? new NdjsonSplitter()
      : framing === "aws-eventstream"
        ? new AwsEventStreamSplitter()
        : new SseSplitter();
  const events = splitter.push(bytes);
  const rest = splitter.end();
  return rest === undefined ? events : [...events, rest];
}

/** Every recorded chat request, sent to a provider; what it refuses by name is not sent. */
function requestsTo(id: string, model: string, chats: readonly Recording[], validate: ValidateFunction): ReplayResult {
  const provider = providers.get(id);
  const failures: string[] = [];
  let refused = 0;
  let excused = 0;
  for (const { id: recording, request } of chats) {
    try {
      const exchange = provider?.begin(chatCall(model, textOf(request.body)));
      if (exchange === undefined) throw new Error("there is no such provider");
      try {
        assertValid(validate, parseObject(Buffer.from(exchange.request.body).toString()));
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        if (explained.some(({ match }) => new RegExp(match).test(`${id} ${message}`))) excused += 1;
        else failures.push(`${recording}: ${message}`);
      }
    } catch {
      refused += 1;
    }
  }
  const name = `schema of requests, ${id} ${model}, ${excused} with an explained difference, ${refused} more refused by name`;
  return { name, ran: chats.length - refused, failures, exchanges: [] };
}

if (import.meta.main) {
  const { readAllRecordings } = await import("./recording.ts");
  for (const { name, ran, failures } of replaySchemas(readAllRecordings())) {
    console.log([`${name}: ${ran - failures.length} of ${ran}`, ...failures.map((own) => `  ${own}`)].join("\n"));
  }
}
