import { readFile, writeFile } from "node:fs/promises";
import type { JsonValue } from "../../services/provider-adapter/provider.ts";
import type { Difference } from "../../test/recordings/difference.ts";

/** One request to one provider through both gateways. */
export interface ComparedCall {
  readonly provider: string;
  readonly name: string;
  readonly differences: readonly Difference[];
}

/** A difference that was read and judged. */
interface Judgement {
  /** What differs, in one sentence. */
  readonly what: string;
  /** Regular expressions: of the provider, of the case, of the place. Absent means any. */
  readonly providers?: string;
  readonly cases?: string;
  readonly path: string;
  readonly right: "Sluice" | "LiteLLM" | "both";
  readonly why: string;
  readonly source?: string;
}

const judgements = new URL("./judgements.json", import.meta.url);
const page = new URL("../../docs/litellm-differences.md", import.meta.url);

/** Prints the table and the differences that nobody has judged; with `write`, writes the page of those that are. */
export async function report(calls: readonly ComparedCall[], write: boolean): Promise<void> {
  const known: readonly Judgement[] = JSON.parse(await readFile(judgements, "utf8"));
  const judge = (call: ComparedCall, { path }: Difference) => known.find((own) => matches(own, call, path));
  console.log(table(calls, judge));
  const open = calls.flatMap((call) =>
    call.differences.filter((difference) => judge(call, difference) === undefined).map((own) => ({ call, ...own })),
  );
  for (const [title, group] of Map.groupBy(
    open,
    ({ call, path }) => `${call.provider}  ${path.replace(/\[\d+\]/g, "[]")}`,
  )) {
    const [first] = group;
    const names = group.map(({ call }) => call.name);
    console.log(`\n${title}  (${group.length} ×: ${names.slice(0, 30).join("; ")})`);
    console.log(`  LiteLLM: ${show(first?.theirs)}\n  Sluice:  ${show(first?.ours)}`);
  }
  console.log(`\n${open.length} differences that nobody has judged`);
  if (write) await writeFile(page, pageOf(calls, known, judge));
  if (open.length > 0) process.exitCode = 1;
}

function matches({ providers = "", cases = "", path }: Judgement, call: ComparedCall, place: string): boolean {
  return (
    new RegExp(`^(?:${providers || ".*"})$`).test(call.provider) &&
    new RegExp(cases).test(call.name) &&
    new RegExp(path).test(place)
  );
}

type Judge = (call: ComparedCall, difference: Difference) => Judgement | undefined;

function table(calls: readonly ComparedCall[], judge: Judge): string {
  const head = `| provider | requests | alike upstream | alike for the client | Sluice right | LiteLLM right | not judged |
|---|--:|--:|--:|--:|--:|--:|`;
  const rows = [...Map.groupBy(calls, ({ provider }) => provider)].map(([provider, own]) => row(provider, own, judge));
  return [head, ...rows, row("all", calls, judge)].join("\n");
}

/** Alike are requests without a difference, and those where both gateways are right. The rest counts requests too. */
function row(provider: string, calls: readonly ComparedCall[], judge: Judge): string {
  const verdicts = calls.map((call) =>
    call.differences.map((own) => ({ path: own.path, right: judge(call, own)?.right ?? "nobody" })),
  );
  const alike = (side: string) =>
    verdicts.filter((own) => own.every(({ path, right }) => !path.startsWith(side) || right === "both")).length;
  const won = (by: string) => verdicts.filter((own) => own.some(({ right }) => right === by)).length;
  const cells = [calls.length, alike("upstream"), alike("client"), won("Sluice"), won("LiteLLM"), won("nobody")];
  return `| ${provider} | ${cells.join(" | ")} |`;
}

function show(value: JsonValue | undefined): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}

const intro = `# Differences to LiteLLM

What Sluice does otherwise than LiteLLM's proxy, found by sending the same requests through both to the same fake providers,
with one \`config.yaml\`: [infra/compare](../infra/compare/README.md), whose program writes this page from its judgements.
The judge is the provider's documentation. "both" means that the provider, or the client, takes either.
`;

function pageOf(calls: readonly ComparedCall[], known: readonly Judgement[], judge: Judge): string {
  const found = calls.flatMap((call) => call.differences.map((own) => ({ call, own: judge(call, own) })));
  const lines = known.map((own) => {
    const seen = found.filter((each) => each.own === own);
    const providers = [...new Set(seen.map(({ call }) => call.provider))].join(", ");
    return seen.length === 0
      ? undefined
      : `| ${providers} | ${own.what} | ${own.right} | ${own.why}${own.source === undefined ? "" : ` [source](${own.source})`} |`;
  });
  const head = "| provider | difference | right | why |\n|---|---|---|---|";
  const rows = lines.filter((line) => line !== undefined);
  return `${intro}\n${table(calls, judge)}\n\n${[head, ...rows].join("\n")}\n`;
}
