import { parseArgs } from "node:util";
import { targetNames } from "./target.ts";

export const scenarioNames = [
  "throughput",
  "streams",
  "latency",
  "first-token",
  "large-prompt",
  "memory",
  "translators",
  "tenancy",
] as const;
export type ScenarioName = (typeof scenarioNames)[number];

export interface Arguments {
  readonly quick: boolean;
  readonly help: boolean;
  /** Where to write the figures as JSON. */
  readonly json: string | undefined;
  /** Where single-process Sluice leaves a CPU profile of the run. */
  readonly profile: string | undefined;
  readonly scenarios: ReadonlySet<string>;
  readonly targets: ReadonlySet<string>;
}

export const usage = `Usage: npm run bench -- [options]

  --quick              at most 90 seconds; figures of no great weight
  --json FILE          write all figures to FILE
  --only LIST          scenarios: ${scenarioNames.join(", ")}
  --targets LIST       targets: ${targetNames.join(", ")}
  --profile DIRECTORY  leave a CPU profile of the single Sluice process there
`;

const options = {
  quick: { type: "boolean" },
  help: { type: "boolean" },
  json: { type: "string" },
  profile: { type: "string" },
  only: { type: "string" },
  targets: { type: "string" },
} as const;

/** Reads the command line. Throws an Error with a sentence for the user where it is wrong. */
export function readArguments(args: readonly string[]): Arguments {
  const { values } = parseArgs({ args: [...args], options, strict: true });
  // Tenancy takes minutes of its own: it runs where it is named.
  const usual = scenarioNames.filter((name) => name !== "tenancy");
  const scenarios = values.only === undefined ? new Set(usual) : choice("--only", values.only, scenarioNames);
  return {
    quick: values.quick === true,
    help: values.help === true,
    json: values.json,
    profile: values.profile,
    scenarios,
    // Tenancy starts what it needs itself.
    targets: [...scenarios].every((name) => name === "tenancy")
      ? new Set()
      : choice("--targets", values.targets, targetNames),
  };
}

function choice(option: string, list: string | undefined, known: readonly string[]): ReadonlySet<string> {
  if (list === undefined) return new Set(known);
  const chosen = list.split(",").map((name) => name.trim());
  const wrong = chosen.find((name) => !known.includes(name));
  if (wrong !== undefined) throw new Error(`${option}: "${wrong}" is none of ${known.join(", ")}`);
  return new Set(chosen);
}
