import { replayGoldens } from "./goldens.ts";
import knownDifferences from "./known-differences.json" with { type: "json" };
import { replayOfficialClients } from "./official-clients.ts";
import { replayPurely } from "./pure-replays.ts";
import { type Recording, readAllRecordings, recordingsFolder } from "./recording.ts";
import { type Account, accountFor } from "./replay-account.ts";
import { replayExchanges } from "./replay-exchanges.ts";
import { startReplayStage } from "./replay-stage.ts";
import { replaySchemas } from "./schemas.ts";
import { replayTwins } from "./twins.ts";

/**
 * Replays recorded provider traffic, and accounts for every recording.
 *
 * What speaks OpenAI's format, Anthropic's or Google's goes through the whole gateway: real HTTP in, real HTTP out to a fake upstream
 * that answers what was recorded. Passed through, both bodies have to be the recorded ones as JSON, but for the model's
 * name, credentials and the `stream_options` that the gateway adds. Anthropic's messages are asked for over chat
 * completions too: then text, tool calls, finish reason and usage have to be the recorded ones. A stream comes event by
 * event, whole, in pieces of 7 bytes (a long one in 5,000), as its network cut it where that is known, and once it breaks off half-way.
 *
 * Other dialects, and Google's answers to clients of other dialects, go through their provider alone, without a network.
 * The rest is left out, with a reason. Twins, one scenario recorded in OpenAI's format and in a provider's own, have to
 * translate into what the provider accepted, but for what explained-twins.json explains; so have other gateways' examples,
 * the goldens, with explained-goldens.json. What is answered is valid by OpenAI's description, what is sent to Bedrock and
 * Mistral by theirs.
 *
 * Run it: `npm run test:recordings [-- folder]`. It exits with 1 where anything differs that known-differences.json,
 * reasons by recording id, does not list.
 */
export async function replayAll(recordings: readonly Recording[], folder: string = recordingsFolder): Promise<Account> {
  const began = performance.now();
  const pure = [
    ...replayPurely(folder),
    ...replayTwins(folder, recordings),
    ...replayGoldens(folder),
    ...replaySchemas(recordings, folder),
  ];
  const stage = await startReplayStage(recordings);
  try {
    const gateway = await replayExchanges(stage, recordings);
    const clients = await replayOfficialClients(stage, recordings);
    const account = accountFor(recordings, { gateway, pure, clients }, knownDifferences);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    return { ...account, text: `${account.text}\n  ${seconds} s` };
  } finally {
    await stage.close();
  }
}

if (import.meta.main) {
  const [, , folder = recordingsFolder] = process.argv;
  const recordings = readAllRecordings(folder);
  if (recordings.length === 0) {
    console.log(`there are no recordings in ${folder}`);
  } else {
    const { text, failed } = await replayAll(recordings, folder);
    console.log(text);
    process.exitCode = failed > 0 ? 1 : 0;
  }
}
