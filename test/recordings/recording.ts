import { existsSync, readdirSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import type { JsonObject } from "../../services/provider-adapter/provider.ts";
import { listOf, objectOf, parseObject, textOf } from "../../services/provider-adapter/translate/json-reading.ts";

/** Where the recordings lie beside a checkout. */
export const recordingsFolder = new URL("../../../shared/recordings/", import.meta.url).pathname;

export interface ReplayResult {
  readonly name: string;
  readonly ran: number;
  /** Recording id and what differed. */
  readonly failures: readonly string[];
  /** What was replayed; absent where two requests are compared and nothing is replayed. */
  readonly exchanges?: readonly Recording[];
}

/** One recorded exchange with a provider. */
export interface Recording {
  readonly id: string;
  readonly provider: string;
  readonly endpoint: string;
  readonly model: string;
  /** What it shows: `stream`, `tool_call`, `error_in_stream`. */
  readonly features: readonly string[];
  /** Empty where only the answer was recorded. */
  readonly request: JsonObject;
  readonly response: JsonObject;
}

/** All exchanges there are, the providers by name; none where the folder is not there. */
export function readAllRecordings(folder: string = recordingsFolder): Recording[] {
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder).filter((file) => file.endsWith(".jsonl.gz"));
  return files.sort().flatMap((file) => readRecordings(folder, file.replace(/\.jsonl\.gz$/, "")));
}

/** All exchanges of a provider; none where the folder is not there. */
export function readRecordings(folder: string, provider: string): Recording[] {
  const file = `${folder}/${provider}.jsonl.gz`;
  if (!existsSync(file)) return [];
  const rows = gunzipSync(readFileSync(file)).toString().split("\n").map(parseObject);
  return rows
    .filter((row) => row !== undefined)
    .map((row) => ({
      id: textOf(row.id),
      provider,
      endpoint: textOf(row.endpoint),
      model: textOf(row.model),
      features: listOf(row.features).map(textOf),
      request: objectOf(row.request),
      response: objectOf(row.response),
    }));
}

/** Checks every recording; what a check throws is its failure. */
export function replay(
  name: string,
  recordings: readonly Recording[],
  check: (recording: Recording) => void,
): ReplayResult {
  const failures: string[] = [];
  for (const recording of recordings) {
    try {
      check(recording);
    } catch (error) {
      failures.push(`${recording.id}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { name, ran: recordings.length, failures, exchanges: recordings };
}
