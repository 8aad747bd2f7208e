import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";

/** Who may import whom, and the house rules that a machine can check. */
const root = resolve(import.meta.dirname, "..");
const services = ["edge", "auth", "router", "provider-adapter", "accounting"];
const skipped = /(^|\/)(node_modules|__fixtures__)(\/|$)/;

interface Source {
  readonly file: string;
  readonly text: string;
  readonly lines: number;
  readonly imports: readonly string[];
}

const sources: readonly Source[] = ["services", "test", "infra"].flatMap((folder) => walk(folder)).map(readSource);
const production = sources.filter(({ file }) => file.startsWith("services/") && !isTest(file));

function walk(folder: string): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .map((file) => join(folder, file))
    .filter((file) => file.endsWith(".ts") && !skipped.test(file));
}

function isTest(file: string): boolean {
  return file.endsWith(".test.ts") || file.includes("/testing/");
}

function readSource(file: string): Source {
  const text = readFileSync(join(root, file), "utf8");
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\s[^;"']*?from\s+["']([^"']+)["']|import\(["']([^"']+)["']\)/g,
  );
  const imports = [...found].map((match) => importedPath(file, match[1] ?? match[2] ?? ""));
  return { file, text, lines: text.split("\n").length - 1, imports };
}

/** A path from the root for our own modules, the bare name for packages. */
function importedPath(file: string, specifier: string): string {
  if (specifier.startsWith("#gen/")) return specifier.replace("#gen/", "gen/");
  if (specifier.startsWith("#chassis/")) return specifier.replace("#chassis/", "services/chassis/");
  if (specifier.startsWith("#catalog/")) return specifier.replace("#catalog/", "services/catalog/");
  return specifier.startsWith(".") ? relative(root, resolve(root, dirname(file), specifier)) : specifier;
}

/** `auth` for services/auth/config.ts. */
function room(file: string): string {
  return file.split("/")[1] ?? "";
}

function offences(of: readonly Source[], check: (source: Source) => readonly string[]): string {
  return of.flatMap((source) => check(source).map((what) => `${source.file}: ${what}`)).join("\n");
}

function noOffences(of: readonly Source[], check: (source: Source) => readonly string[]): void {
  assert.equal(offences(of, check), "");
}

test("a service imports no other service", () => {
  const own = production.filter(({ file }) => services.includes(room(file)));
  noOffences(own, ({ file, imports }) =>
    imports.filter((path) => path.startsWith("services/") && ![room(file), "chassis", "catalog"].includes(room(path))),
  );
});

test("the chassis imports no service and no domain message", () => {
  const allowed = /^gen\/(sluice\/(error|rest)|grpc)\//;
  const chassis = production.filter(({ file }) => room(file) === "chassis");
  noOffences(chassis, ({ imports }) =>
    imports.filter(
      (path) =>
        (path.startsWith("services/") && room(path) !== "chassis") || (path.startsWith("gen/") && !allowed.test(path)),
    ),
  );
});

test("the catalog is data: it imports the validator and nothing else", () => {
  noOffences(
    production.filter(({ file }) => room(file) === "catalog"),
    ({ imports }) => imports.filter((path) => path !== "zod" && !path.startsWith("services/catalog/")),
  );
});

test("providers and translators do no I/O", () => {
  const pure = production.filter(({ file }) => /^services\/provider-adapter\/(providers|translate)\//.test(file));
  const io = /^(undici|node:(?!buffer|util)|services\/chassis\/(log|database|events|telemetry|rpc|serve|http1))/;
  noOffences(pure, ({ imports, text }) => [
    ...imports.filter((path) => io.test(path)),
    ...(text.match(/\b(fetch\(|Date\.now\(|new Date\(\)|process\.|setTimeout\(|console\.)/g) ?? []),
  ]);
});

test("process.env is read in configuration and entry points only", () => {
  const readers = /(config|main|local-mesh|mesh\/commands\/[a-z-]+)\.ts$/;
  noOffences(production, ({ file, text }) =>
    text.includes("process.env") && !readers.test(file) ? ["reads process.env"] : [],
  );
});

test("files, names and escapes", () => {
  const vague = /^(utils?|helpers?|common|misc|shared|stuff|types)$/;
  noOffences(sources, ({ file, text, lines }) => [
    ...(lines > (file.endsWith(".test.ts") ? 600 : 300) ? [`${lines} lines`] : []),
    ...(/^[a-z0-9.-]+$/.test(basename(file)) && !vague.test(basename(file, ".ts")) ? [] : ["name"]),
    ...(file === "services/boundaries.test.ts" ? [] : (text.match(forbidden) ?? [])),
  ]);
});
const forbidden =
  /export default|@ts-ignore|@ts-expect-error|@ts-nocheck|biome-ignore|\bas any\b|as unknown as|\b(TODO|FIXME|XXX|HACK)\b|\b(?:test|it|describe)\.(?:skip|todo|only)\b/g;

test("no module-level mutable state", () => {
  noOffences(production, ({ text }) => text.match(/^(?:export )?let .*$/gm) ?? []);
});

test("functions have at most 60 lines", () => {
  noOffences(
    sources.filter(({ file }) => !file.endsWith(".test.ts")),
    ({ text }) => longFunctions(text),
  );
});

/** By indentation, which the formatter guarantees: a line that opens a function up to the first line as far out. */
function longFunctions(text: string): string[] {
  const lines = text.split("\n");
  return lines.flatMap((line, start) => {
    const opens =
      /^(\s*)(?:(?:export |async |static |private |public |override )*)(?:function\b|(?:get |set |\*|#)?[\w$]+\s*(?:<.*>)?\(.*\).*\{$|.*=> \{$)/.exec(
        line,
      );
    if (
      opens === null ||
      !line.trimEnd().endsWith("{") ||
      /^\s*(if|for|while|switch|catch|else|do|return)\b/.test(line)
    )
      return [];
    const indent = opens[1] ?? "";
    const end = lines.findIndex((other, at) => at > start && other.startsWith(`${indent}}`));
    return end - start > 60 ? [`line ${start + 1}: ${end - start + 1} lines`] : [];
  });
}

test("every service has the same first files", () => {
  const first = ["service.ts", "config.ts", "context.ts", "events.ts", "README.md", "routes/index.ts"];
  const missing = services.flatMap((service) =>
    first.filter((file) => !existsSync(join(root, "services", service, file))).map((file) => `${service}/${file}`),
  );
  assert.deepEqual(missing, []);
});

test("a service's README is short and says what it owns, serves, emits and stores", () => {
  for (const service of services) {
    const text = readFileSync(join(root, "services", service, "README.md"), "utf8");
    assert.ok(text.split("\n").length <= 31, `${service}/README.md has more than 30 lines`);
    for (const word of ["owns", "serves", "emits", "stores"])
      assert.match(text.toLowerCase(), new RegExp(word), service);
  }
});

test("one RPC, one file", () => {
  for (const service of services) {
    const folder = join(root, "services", service, "routes");
    const files = existsSync(folder) ? readdirSync(folder).filter((file) => file !== "index.ts" && !isTest(file)) : [];
    const index = files.length === 0 ? "" : readFileSync(join(folder, "index.ts"), "utf8");
    for (const file of files) if (file.endsWith(".ts")) assert.ok(index.includes(`./${file}`), `${service}: ${file}`);
  }
});

test("event and message names come from the contract, never from a string", () => {
  noOffences(production, ({ text }) => text.match(/["'`]sluice\.[a-z_]+\.v\d+\.\w+/g) ?? []);
});
