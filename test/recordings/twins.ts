import { existsSync, readFileSync } from "node:fs";
import type { JsonObject } from "../../services/provider-adapter/provider.ts";
import { everyProvider } from "../../services/provider-adapter/testing/every-provider.ts";
import { listOf, objectsOf, parseObject, textOf } from "../../services/provider-adapter/translate/json-reading.ts";
import { differenceOf } from "./difference.ts";
import explained from "./explained-twins.json" with { type: "json" };
import { chatCall, type NativeProvider, nativeProviders } from "./native-providers.ts";
import type { Recording, ReplayResult } from "./recording.ts";
import { outlines } from "./request-outline.ts";

const providers = await everyProvider();

/** Two requests, one translated, that should say the same. */
interface Twin {
  readonly scenario: string;
  readonly ours: Recording;
  readonly theirs: readonly Recording[];
}

/**
 * Requests of one scenario in OpenAI's format, translated by each provider, against bodies that it accepted from the same
 * scenario in its own. A request agrees where it agrees with one of them. Differences that were read and found to be the
 * frameworks' own are in explained-twins.json.
 */
export function replayTwins(folder: string, recordings: readonly Recording[]): ReplayResult[] {
  const file = `${folder}/twins.jsonl`;
  if (!existsSync(file)) return [];
  const scenarios = readFileSync(file, "utf8")
    .split("\n")
    .map(parseObject)
    .filter((scenario) => scenario !== undefined);
  const byId = new Map(recordings.map((recording) => [recording.id, recording]));
  const used = new Set<string>();
  const results = nativeProviders.map((native): ReplayResult => {
    const failures: string[] = [];
    const twins = scenarios.flatMap((scenario) => twinsOf(scenario, native, byId));
    let excused = 0;
    for (const twin of twins) {
      const differences = twin.theirs.map((theirs) => compare(native, twin.ours, theirs));
      if (differences.includes(undefined)) continue;
      const [difference = ""] = differences;
      const line = `${native.id} ${native.dialect} :: ${twin.scenario} :: ${twin.ours.provider} :: ${difference}`;
      const explanation = explained.find(({ match }) => new RegExp(match).test(line));
      if (explanation !== undefined) {
        used.add(explanation.match);
        excused += 1;
      } else failures.push(`${twin.ours.id} ${line}`);
    }
    const known = excused === 0 ? "" : `, ${excused} of them with an explained difference`;
    return { name: `twins, ${native.id} ${native.dialect}${known}`, ran: twins.length, failures, exchanges: [] };
  });
  const idle = explained
    .filter(({ match }) => !used.has(match))
    .map(({ match }) => `explanation: nothing differs like ${match}`);
  return [...results, { name: "twins, explanations", ran: explained.length, failures: idle, exchanges: [] }];
}

function twinsOf(scenario: JsonObject, native: NativeProvider, byId: ReadonlyMap<string, Recording>): Twin[] {
  const accepted = objectsOf(scenario.native_format).filter(({ provider }) => provider === native.provider);
  return objectsOf(scenario.openai_format).flatMap(({ ids }) =>
    listOf(ids).flatMap((id, turn): Twin[] => {
      const ours = byId.get(textOf(id));
      const theirs = accepted
        .map((own) => byId.get(textOf(listOf(own.ids)[turn])))
        .filter((own) => own !== undefined)
        .filter((own) => native.endpoints.test(own.endpoint) && bodyOf(own) !== undefined);
      const isChat = ours !== undefined && Array.isArray(bodyOf(ours)?.messages);
      return isChat && theirs.length > 0 ? [{ scenario: textOf(scenario.scenario), ours, theirs }] : [];
    }),
  );
}

function bodyOf({ request }: Recording): JsonObject | undefined {
  return parseObject(textOf(request.body));
}

function compare(native: NativeProvider, ours: Recording, theirs: Recording): string | undefined {
  try {
    const exchange = providers.get(native.id)?.begin(chatCall(theirs.model, textOf(ours.request.body)));
    const sent = parseObject(Buffer.from(exchange?.request.body ?? "").toString()) ?? {};
    const outline = outlines[native.dialect];
    return differenceOf(outline(sent), outline(bodyOf(theirs) ?? {}));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

if (import.meta.main) {
  const { readAllRecordings, recordingsFolder } = await import("./recording.ts");
  for (const { name, ran, failures } of replayTwins(recordingsFolder, readAllRecordings())) {
    console.log(`${name}: ${ran - failures.length} of ${ran}\n${failures.join("\n")}`);
  }
}
