import { readFile, stat } from "node:fs/promises";
import { basename } from "node:path";
import { type Document, isNode, LineCounter, parseDocument } from "yaml";
import type { z } from "zod";
import { ConfigurationError, type Environment } from "./environment.ts";

/** Where a value stands in a document: `["model_list", 0, "litellm_params", "rpm"]`. */
export type DocumentPath = readonly (string | number)[];

/** A reference `os.environ/NAME` to a variable that is not set. Its value in the document is null. */
export interface MissingVariable {
  readonly path: DocumentPath;
  readonly name: string;
}

/** A parsed YAML file, every `os.environ/NAME` in it replaced by the variable's value. */
export interface YamlDocument {
  readonly value: unknown;
  readonly missing: readonly MissingVariable[];
  /** An error that says where in the file which value is wrong, and what was expected in its place. */
  problem(path: DocumentPath, expected: string): ConfigurationError;
}

const maxFileBytes = 10 * 1024 * 1024;
const maxAliases = 100;
const maxDepth = 64;
const reference = "os.environ/";
const secretKey = /secret|password|credential|key$|(?<!per_)token$|database_url|redis_url/i;

/**
 * Reads a YAML 1.2 file of at most 10 MB. `environment` resolves the references; as a function it is given the raw
 * document first, for a file that brings variables of its own. Throws a ConfigurationError that names the line.
 */
export async function loadYamlFile(
  path: string,
  environment: Environment | ((raw: unknown) => Environment),
): Promise<YamlDocument> {
  let text: string;
  try {
    const { size } = await stat(path);
    if (size > maxFileBytes) throw new ConfigurationError(`${path} is larger than ${maxFileBytes >> 20} MB`);
    text = await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    throw new ConfigurationError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  return parseYaml(text, basename(path), environment);
}

/** As `loadYamlFile`, of a text. `fileName` is what problems call it. */
export function parseYaml(
  text: string,
  fileName: string,
  environment: Environment | ((raw: unknown) => Environment),
): YamlDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, merge: true, prettyErrors: false });
  const [broken] = document.errors;
  if (broken !== undefined) {
    const { line } = lines.linePos(broken.pos[0]);
    throw new ConfigurationError(`${fileName}:${line}: malformed YAML: ${broken.message}`);
  }
  const raw = plainValue(document, fileName);
  return resolved(raw, environment, (value, path, expected) => {
    const place = `${fileName}:${lineOf(document, lines, path)}: ${spell(path)}`;
    return new ConfigurationError(`${place}: expected ${expected}, got ${shown(value, path)}`);
  });
}

/** A document that was never a text: what `parseYaml` makes of one, for a value that came some other way. */
export function plainDocument(raw: unknown, environment: Environment): YamlDocument {
  return resolved(
    raw,
    environment,
    (value, path, expected) =>
      new ConfigurationError(`${spell(path)}: expected ${expected}, got ${shown(value, path)}`),
  );
}

function resolved(
  raw: unknown,
  environment: Environment | ((raw: unknown) => Environment),
  problem: (value: unknown, path: DocumentPath, expected: string) => ConfigurationError,
): YamlDocument {
  const missing: MissingVariable[] = [];
  const env = typeof environment === "function" ? environment(raw) : environment;
  const value = resolveReferences(raw, env, [], missing);
  return { value, missing, problem: (path, expected) => problem(value, path, expected) };
}

/** The document of a gateway that was given no file. */
export function emptyYaml(): YamlDocument {
  return parseYaml("{}", "config.yaml", {});
}

/** Reads a part of a document through a schema, or throws all that is wrong with it, a line each. */
export function readSection<S extends z.ZodType>(document: YamlDocument, path: DocumentPath, schema: S): z.output<S> {
  const result = schema.safeParse(valueAt(document.value, path));
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) =>
    document.problem(
      [...path, ...issue.path.map((step) => (typeof step === "symbol" ? String(step) : step))],
      expected(issue),
    ),
  );
  throw new ConfigurationError(problems.map(({ message }) => message).join("\n"));
}

/** The value at a path, undefined where there is none. */
export function valueAt(value: unknown, path: DocumentPath): unknown {
  let at = value;
  for (const step of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, step)) return undefined;
    at = Reflect.get(at, step);
  }
  return at;
}

/** A path as people write it: `model_list[0].litellm_params.rpm`. */
export function spell(path: DocumentPath): string {
  const text = path.map((step) => (typeof step === "number" ? `[${step}]` : `.${step}`)).join("");
  return text === "" ? "the document" : text.replace(/^\./, "");
}

function plainValue(document: Document.Parsed, fileName: string): unknown {
  try {
    return document.toJS({ maxAliasCount: maxAliases });
  } catch (error) {
    throw new ConfigurationError(`${fileName}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function resolveReferences(value: unknown, env: Environment, path: DocumentPath, missing: MissingVariable[]): unknown {
  if (path.length > maxDepth) throw new ConfigurationError(`${spell(path.slice(0, 3))} is nested too deeply`);
  if (typeof value === "string" && value.startsWith(reference)) {
    const name = value.slice(reference.length);
    const found = env[name];
    if (found !== undefined) return found;
    missing.push({ path, name });
    return null;
  }
  if (Array.isArray(value)) return value.map((item, at) => resolveReferences(item, env, [...path, at], missing));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  return Object.fromEntries(entries.map(([key, item]) => [key, resolveReferences(item, env, [...path, key], missing)]));
}

/** The line of the value, or of the nearest thing around it that the file has. */
function lineOf(document: Document.Parsed, lines: LineCounter, path: DocumentPath): number {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}

/** What stands there, shortened, and never what may be a secret. */
function shown(value: unknown, path: DocumentPath): string {
  const found = valueAt(value, path);
  if (found === undefined) return "nothing";
  if (found === null) return "null";
  if (Array.isArray(found)) return "a list";
  if (typeof found === "object") return "a mapping";
  if (path.some((step) => typeof step === "string" && secretKey.test(step))) return `a ${typeof found}`;
  const text = JSON.stringify(found);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

const kinds: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a mapping",
  record: "a mapping",
  null: "null",
};

/** A schema may say what it expects in its own words: they are taken where the message starts with `expected `. */
function expected(issue: z.core.$ZodIssue): string {
  if (issue.message.startsWith("expected ")) return issue.message.slice("expected ".length);
  switch (issue.code) {
    case "invalid_type":
      return kinds[issue.expected] ?? issue.expected;
    case "invalid_value":
      return `one of ${issue.values.map(String).join(", ")}`;
    case "unrecognized_keys":
      return `no ${issue.keys.join(", ")}`;
    case "too_small":
      return `at least ${issue.minimum}`;
    case "too_big":
      return `at most ${issue.maximum}`;
    default:
      return issue.message;
  }
}
