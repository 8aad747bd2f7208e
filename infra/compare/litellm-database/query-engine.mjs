/**
 * Speaks what Prisma's query engine binary speaks, on top of the same engine as WebAssembly, which npm carries: LiteLLM's
 * Python client sends GraphQL over HTTP; the WebAssembly build knows only Prisma's JSON protocol.
 *
 *     node query-engine.mjs DIRECTORY -p PORT      with DATABASE_URL; DIRECTORY has node_modules and schema.prisma
 */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const work = process.argv[2];
const port = Number(process.argv[process.argv.indexOf("-p") + 1]);
const require = createRequire(`${work}/package.json`);
const pg = require("pg");
const { PrismaPg } = require("@prisma/adapter-pg");
const { bindAdapter } = require("@prisma/driver-adapter-utils");
const { parse, valueFromASTUntyped } = require("graphql");
const glue = require("@prisma/client/runtime/query_engine_bg.postgresql.js");

const datamodel = readFileSync(`${work}/schema.prisma`, "utf8").replace(
  /generator client \{[^}]*\}/,
  'generator client {\n provider = "prisma-client-js"\n previewFeatures = ["driverAdapters"]\n}',
);
/** The fields of every model with their types: JSON has to be marked as such in the JSON protocol. */
const models = new Map();
for (const [, name, body] of datamodel.matchAll(/^model (\w+) \{([\s\S]*?)^\}/gm)) {
  models.set(name, new Map([...body.matchAll(/^\s+(\w+)\s+(\w+)/gm)].map(([, field, type]) => [field, type])));
}
const actions = [
  ...["findUniqueOrThrow", "findFirstOrThrow", "findUnique", "findFirst", "findMany", "createOne"],
  ...["createManyAndReturn", "createMany", "updateOne", "updateMany", "deleteOne", "deleteMany", "upsertOne"],
  ...["aggregate", "groupBy", "queryRaw", "executeRaw"],
];

const engine = await startEngine();

async function startEngine() {
  const file = `${work}/node_modules/@prisma/client/runtime/query_engine_bg.postgresql.wasm`;
  const instance = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)), {
    "./query_engine_bg.js": glue,
  });
  glue.__wbg_set_wasm(instance.exports);
  const [source] = JSON.parse(process.env.OVERWRITE_DATASOURCES ?? "[]");
  const connectionString = (source?.url ?? process.env.DATABASE_URL).split("?")[0];
  const adapter = bindAdapter(new PrismaPg(new pg.Pool({ connectionString })));
  const options = { datamodel, logLevel: "error", logQueries: false, env: process.env, configDir: "." };
  const started = new glue.QueryEngine(
    { ...options, ignoreEnvVarErrors: true, engineProtocol: "json", enableTracing: false },
    () => {},
    adapter,
  );
  await started.connect("{}");
  return started;
}

/** A GraphQL document with one root field, in the JSON protocol. */
function toJson(query) {
  const field = parse(query).definitions[0].selectionSet.selections[0];
  const action = actions.find((name) => field.name.value.startsWith(name));
  const modelName = field.name.value.slice(action.length) || undefined;
  const given = argumentsOf(field);
  const args = modelName === undefined ? given : markJson(given, modelName);
  return { modelName, action, query: { arguments: args, selection: selectionOf(field.selectionSet) } };
}

function argumentsOf(field) {
  return Object.fromEntries((field.arguments ?? []).map(({ name, value }) => [name.value, valueFromASTUntyped(value)]));
}

function selectionOf(set) {
  const chosen = (field) =>
    field.selectionSet ? { arguments: argumentsOf(field), selection: selectionOf(field.selectionSet) } : true;
  return Object.fromEntries((set?.selections ?? []).map((field) => [field.name.value, chosen(field)]));
}

function markJson(value, model, isJson = false) {
  if (isJson && typeof value === "string") return { $type: "Json", value };
  if (Array.isArray(value)) return value.map((item) => markJson(item, model, isJson));
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).map(([name, item]) => {
    const type = models.get(model)?.get(name);
    if (type === undefined) return [name, markJson(item, model, isJson && name !== "path")];
    return [name, markJson(item, models.has(type) ? type : model, type === "Json")];
  });
  return Object.fromEntries(entries);
}

function toAnswer(result) {
  if (result.errors) return result;
  if (result.batchResult) return { batchResult: result.batchResult.map(toAnswer) };
  const [value] = Object.values(result.data);
  return { data: { result: Array.isArray(value?.columns) ? rawRows(value) : unmark(value) } };
}

function unmark(value) {
  if (Array.isArray(value)) return value.map(unmark);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.$type === "string") return value.value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, unmark(item)]));
}

/** The binary gives JSON columns of raw queries parsed, and the adapter gives them as texts. */
function rawRows(raw) {
  const isText = (cell, at) => raw.types[at] === "json" && typeof cell === "string";
  return { ...raw, rows: raw.rows.map((row) => row.map((cell, at) => (isText(cell, at) ? JSON.parse(cell) : cell))) };
}

async function run({ batch, transaction, query }, transactionId) {
  const request = batch
    ? { batch: batch.map((one) => toJson(one.query)), transaction: transaction ? {} : undefined }
    : toJson(query);
  return toAnswer(JSON.parse(await engine.query(JSON.stringify(request), '{"traceparent":""}', transactionId)));
}

async function answer(request, text) {
  if (request.url === "/status") return { status: "ok" };
  const [, id, step] = /^\/transaction\/([^/]+)(?:\/(\w+))?$/.exec(request.url) ?? [];
  if (id === "start") return JSON.parse(await engine.startTransaction(text, "{}"));
  if (step === "commit") return JSON.parse(await engine.commitTransaction(id, "{}"));
  if (step === "rollback") return JSON.parse(await engine.rollbackTransaction(id, "{}"));
  return run(JSON.parse(text), request.headers["x-transaction-id"]);
}

createServer(async (request, response) => {
  let text = "";
  for await (const piece of request) text += piece;
  const send = (status, body) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  };
  try {
    send(200, await answer(request, text));
  } catch (error) {
    console.error(error);
    send(500, { errors: [{ error: String(error), user_facing_error: { message: String(error) } }] });
  }
}).listen(port, "127.0.0.1");
