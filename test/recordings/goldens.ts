import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, JsonValue, ProviderCall } from "../../services/provider-adapter/provider.ts";
import { everyProvider } from "../../services/provider-adapter/testing/every-provider.ts";
import { isObject, objectOf, parseObject } from "../../services/provider-adapter/translate/json-reading.ts";
import { allDifferences } from "./difference.ts";
import explained from "./explained-goldens.json" with { type: "json" };
import { type ReplayResult, recordingsFolder } from "./recording.ts";

const providers = await everyProvider();

/** Translations of another gateway's that ours are compared with. */
interface GoldenSet {
  readonly name: string;
  readonly folder: string;
  /** The files' ends: of what is translated, and of the translation. */
  readonly from: string;
  readonly to: string;
  readonly provider: string;
  readonly model: string;
  readonly operation: Operation;
  /** What is translated: a client's request, or the provider's answer. */
  readonly kind: "request" | "answer";
}

const { CHAT_COMPLETIONS, MESSAGES, RERANK, EMBEDDINGS } = Operation;
const agent = "agentgateway/crates/llm/src/tests";
const models: Readonly<Record<string, string>> = {
  anthropic: "claude-sonnet-4-5",
  bedrock: "anthropic.claude-sonnet-4-5-20250929-v1:0",
  cohere: "rerank-v3.5",
  openai: "gpt-4o",
  vertex_ai: "gemini-2.5-pro",
};

type Row = [
  kind: GoldenSet["kind"],
  folder: string,
  to: string,
  provider: string,
  operation: Operation,
  model?: string,
];
const rows: readonly Row[] = [
  ["request", "requests/completions", "anthropic", "anthropic", CHAT_COMPLETIONS],
  ["request", "requests/completions", "bedrock", "bedrock", CHAT_COMPLETIONS],
  ["request", "requests/completions", "vertex-gemini", "vertex_ai", CHAT_COMPLETIONS],
  ["request", "requests/messages", "anthropic", "anthropic", MESSAGES],
  ["request", "requests/messages", "bedrock", "bedrock", MESSAGES, `converse/${models.bedrock}`],
  ["request", "requests/messages", "vertex", "vertex_ai", MESSAGES, "claude-sonnet-4-5"],
  ["request", "requests/messages", "completions", "openai", MESSAGES, "gpt-5"],
  ["request", "requests/rerank", "cohere", "cohere", RERANK],
  ["request", "requests/embeddings", "openai", "openai", EMBEDDINGS],
  ["request", "requests/embeddings", "vertex", "vertex_ai", EMBEDDINGS, "text-embedding-004"],
  ["answer", "response/bedrock", "bedrock-completions", "bedrock", CHAT_COMPLETIONS],
  ["answer", "response/bedrock", "bedrock-messages", "bedrock", MESSAGES, `converse/${models.bedrock}`],
  ["answer", "response/anthropic", "messages-completions", "anthropic", CHAT_COMPLETIONS],
  ["answer", "response/anthropic", "messages-messages", "anthropic", MESSAGES],
  ["answer", "response/vertex-gemini", "vertex-gemini-completions", "vertex_ai", CHAT_COMPLETIONS],
  ["answer", "response/completions", "completions-messages", "openai", MESSAGES],
  ["answer", "response/completions", "completions-completions", "openai", CHAT_COMPLETIONS],
  ["answer", "response/cohere", "cohere", "cohere", RERANK],
];

const sets: readonly GoldenSet[] = [
  ...rows.map(([kind, folder, to, provider, operation, model = models[provider] ?? ""]) => ({
    name: `agentgateway ${folder} ${to}`,
    folder: `${agent}/${folder}`,
    from: ".json",
    to: `.${to}.snap`,
    provider,
    model,
    operation,
    kind,
  })),
  ...["anthropic", "openai"].map((provider) => ({
    name: `GoModel ${provider}`,
    folder: `GoModel/tests/contract/testdata/${provider}`,
    from: ".json",
    to: `../golden/${provider}/*.golden.json`,
    provider,
    model: models[provider] ?? "",
    operation: CHAT_COMPLETIONS,
    kind: "answer" as const,
  })),
];

/**
 * Translates what other gateways keep as examples, and compares the result with theirs, member by member. Theirs are
 * choices: a difference that was read, and is not ours to mend, stands with its reason in explained-goldens.json.
 */
export function replayGoldens(folder: string = recordingsFolder): ReplayResult[] {
  const root = `${folder}/goldens`;
  if (!existsSync(root)) return [];
  const used = new Set<string>();
  const results = sets.flatMap((set): ReplayResult[] => {
    const pairs = pairsOf(root, set);
    const failures: string[] = [];
    let excused = 0;
    for (const { name, given, golden } of pairs) {
      const open = differencesIn(set, given, golden).filter((difference) => {
        const line = `${set.name} :: ${name} :: ${difference}`;
        const explanation = explained.find(({ match }) => new RegExp(match).test(line));
        if (explanation !== undefined) used.add(explanation.match);
        return explanation === undefined;
      });
      failures.push(...open.slice(0, 1).map(() => `${set.name} :: ${name} :: ${open.join("\n    ")}`));
      if (open.length === 0 && differencesIn(set, given, golden).length > 0) excused += 1;
    }
    const known = excused === 0 ? "" : `, ${excused} with explained differences`;
    return [{ name: `goldens, ${set.name}${known}`, ran: pairs.length, failures, exchanges: [] }];
  });
  const idle = explained.filter(({ match }) => !used.has(match)).map(({ match }) => `nothing differs like ${match}`);
  return [...results, { name: "goldens, explanations", ran: explained.length, failures: idle, exchanges: [] }];
}

interface Pair {
  readonly name: string;
  readonly given: JsonObject;
  readonly golden: JsonObject;
}

function pairsOf(root: string, { folder, from, to }: GoldenSet): Pair[] {
  const files = readdirSync(`${root}/${folder}`).filter((file) => file.endsWith(from) && file !== "responses.json");
  return files.sort().flatMap((file): Pair[] => {
    const name = basename(file, from);
    const path = `${root}/${folder}/${to.includes("*") ? to.replace("*", name) : `${name}${to}`}`;
    if (!existsSync(path)) return [];
    const given = parseObject(readFileSync(`${root}/${folder}/${file}`, "utf8"));
    const golden = goldenIn(readFileSync(path, "utf8"));
    return given === undefined || golden === undefined ? [] : [{ name, given, golden }];
  });
}

/** A snapshot is JSON behind a head of YAML; what was sent or answered stands in one of its members. */
function goldenIn(text: string): JsonObject | undefined {
  const body = parseObject(text.startsWith("---") ? text.slice(text.indexOf("\n---", 3) + 4) : text);
  const inner = body?.request ?? body?.response ?? body;
  return isObject(inner) ? inner : undefined;
}

function differencesIn(set: GoldenSet, given: JsonObject, golden: JsonObject): string[] {
  try {
    const ours = translate(set, given);
    const differences = allDifferences(comparable(golden), comparable(ours), "$");
    return differences.map((own) => `${own.path}: theirs ${show(own.theirs)}, ours ${show(own.ours)}`);
  } catch (error) {
    return [`ours fails: ${error instanceof Error ? error.message : String(error)}`];
  }
}

function show(value: JsonValue | undefined): string {
  return value === undefined ? "nothing" : JSON.stringify(value).slice(0, 200);
}

function translate(set: GoldenSet, given: JsonObject): JsonObject {
  const body = set.kind === "request" ? given : clientBody(set.operation);
  const exchange = providers.get(set.provider)?.begin(callOf(set, body));
  if (exchange === undefined) throw new Error("there is no such provider");
  const bytes =
    set.kind === "request" ? exchange.request.body : exchange.decodeBody(Buffer.from(JSON.stringify(given)));
  return objectOf(parseObject(Buffer.from(bytes).toString()));
}

function clientBody(operation: Operation): JsonObject {
  if (operation === RERANK) return { query: "Which?", documents: ["this", "that", "other"] };
  return { max_tokens: 10, messages: [{ role: "user", content: "Hello" }] };
}

function callOf({ operation, model }: GoldenSet, body: JsonObject): ProviderCall {
  return {
    operation,
    stream: false,
    model,
    body: Buffer.from(JSON.stringify({ model, ...body })),
    contentType: "application/json",
    baseUrl: "https://golden.test",
    credential: new Secret("key"),
    settings: { vertex_project: "p" },
    headers: {},
    defaultParams: {},
    outputTokenCap: undefined,
    dropParams: true,
    allowedParams: [],
    createdAt: 0,
  };
}

const byNature = new Set(["id", "created", "model", "stream"]);

/** Without ids, times and models, and without members that are null: what they say is what their absence says. */
function comparable(value: JsonObject): JsonObject {
  return objectOf(pruned(Object.fromEntries(Object.entries(value).filter(([name]) => !byNature.has(name)))));
}

function pruned(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(pruned);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).filter(([, own]) => own !== null);
  return Object.fromEntries(entries.map(([name, own]) => [name, pruned(own)]));
}

if (import.meta.main) {
  for (const { name, ran, failures } of replayGoldens()) {
    console.log([`${name}: ${ran - failures.length} of ${ran}`, ...failures.map((own) => `  ${own}`)].join("\n"));
  }
}
