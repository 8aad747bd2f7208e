import assert from "node:assert/strict";
import { test } from "node:test";
import { recordingsFolder } from "./recordings/recording.ts";
import { readReplayed, replayAll } from "./recordings/replay.ts";

/** The recordings are third-party data and lie beside a checkout, if at all: without them there is nothing to do. */
test("recorded traffic goes through the whole gateway unchanged", async () => {
  const recordings = readReplayed();
  if (recordings.length === 0) {
    console.log(`the replay is left out: there are no recordings in ${recordingsFolder}`);
    return;
  }
  const { text, failed } = await replayAll(recordings);
  console.log(text);
  assert.equal(failed, 0);
});
