import assert from "node:assert/strict";
import { test } from "node:test";
import { readAllRecordings, recordingsFolder } from "./recordings/recording.ts";
import { replayAll } from "./recordings/replay.ts";

/** The recordings are third-party data and lie beside a checkout, if at all: without them there is nothing to do. */
test("every recording is replayed as it was recorded, or left out with a reason", async () => {
  const recordings = readAllRecordings();
  if (recordings.length === 0) {
    console.log(`the replay is left out: there are no recordings in ${recordingsFolder}`);
    return;
  }
  const { text, failed } = await replayAll(recordings);
  console.log(text);
  assert.equal(failed, 0);
});
