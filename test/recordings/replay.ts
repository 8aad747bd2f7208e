import { replayOfficialClients } from "./official-clients.ts";
import { type Recording, readRecordings, recordingsFolder } from "./recording.ts";
import { type ReplayReport, replayExchanges } from "./replay-exchanges.ts";
import { startReplayStage } from "./replay-stage.ts";

/**
 * Replays recorded provider traffic through the whole gateway: real HTTP in, real HTTP out to a fake upstream that answers
 * what was recorded. Passed through, both bodies have to be the recorded ones as JSON, but for the model's name,
 * credentials and the `stream_options` that the gateway adds. Anthropic's messages are asked for over chat completions
 * too: then text, tool calls, finish reason and usage have to be the recorded ones. A stream comes event by event, whole,
 * in pieces of 7 bytes, as its network cut it where that is known, and once it breaks off half-way.
 *
 * Run it: `npm run test:recordings [-- folder]`. It exits with 1 where anything differs.
 */

/** The providers whose traffic is replayed. */
const replayedProviders = ["openai", "openrouter", "groq", "deepseek", "mistral", "ollama", "anthropic"] as const;

/** What came of everything. */
export interface FullReplay {
  /** The table, and every failure by id below it. */
  readonly text: string;
  readonly failed: number;
}

/** All exchanges of the replayed providers; none where the folder is not there. */
export function readReplayed(folder: string = recordingsFolder): Recording[] {
  return replayedProviders.flatMap((provider) => readRecordings(folder, provider));
}

/** Starts a gateway, replays the recordings through it and lets the official clients make a sample of the calls. */
export async function replayAll(recordings: readonly Recording[]): Promise<FullReplay> {
  const stage = await startReplayStage(recordings);
  try {
    const began = performance.now();
    const report = await replayExchanges(stage, recordings);
    const clients = await replayOfficialClients(stage, recordings);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const text = [
      renderReport(report),
      `  ${clients.name}: ${clients.ran - clients.failures.length} of ${clients.ran} passed`,
      ...clients.failures.map((failure) => `  FAILED ${failure}`),
      `  ${seconds} s`,
    ];
    return { text: text.join("\n"), failed: report.failures.length + clients.failures.length };
  } finally {
    await stage.close();
  }
}

function renderReport({ tallies, failures, skipped, calls }: ReplayReport): string {
  const rows = tallies.map(
    ({ provider, endpoint, passed, ran }) => `  ${provider.padEnd(11)}${endpoint.padEnd(18)}${passed} of ${ran} passed`,
  );
  const ran = tallies.reduce((sum, tally) => sum + tally.ran, 0);
  return [
    ...rows,
    `  ${ran - failures.length} of ${ran} passed, in ${calls} calls`,
    ...[...skipped].map(([reason, count]) => `  left out: ${count} × ${reason}`),
    ...failures.map(({ provider, endpoint, id, reason }) => `  FAILED ${provider} ${endpoint} ${id}: ${reason}`),
  ].join("\n");
}

if (import.meta.main) {
  const recordings = readReplayed(process.argv[2]);
  if (recordings.length === 0) {
    console.log(`there are no recordings in ${process.argv[2] ?? recordingsFolder}`);
  } else {
    const { text, failed } = await replayAll(recordings);
    console.log(text);
    process.exitCode = failed > 0 ? 1 : 0;
  }
}
