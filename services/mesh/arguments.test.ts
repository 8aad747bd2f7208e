import assert from "node:assert/strict";
import { test } from "node:test";
import { applyArguments } from "./arguments.ts";

test("an option wins over its variable, and what is not given leaves it", () => {
  const env = { PORT: "1", HOST: "::1", OTHER: "x" };
  assert.deepEqual(applyArguments(env, ["-c", "a.yaml", "--port", "2"]), {
    ...env,
    CONFIG_FILE_PATH: "a.yaml",
    PORT: "2",
  });
  assert.equal(applyArguments(env, ["--help"]), undefined);
});

test("a command line of LiteLLM is taken", () => {
  const line =
    "--config c.yaml --port 4000 --num_workers 4 --detailed_debug --drop_params --request_timeout 60 --telemetry False";
  assert.deepEqual(applyArguments({ SLUICE_LOG: "warn" }, line.split(" ")), {
    CONFIG_FILE_PATH: "c.yaml",
    PORT: "4000",
    NUM_WORKERS: "4",
    SLUICE_LOG: "debug",
    LITELLM_DROP_PARAMS: "true",
    REQUEST_TIMEOUT: "60",
  });
});

test("an option that nobody knows is refused with those there are", () => {
  for (const args of [["--ssl_keyfile_path", "k"], ["--prot", "1"], ["file.yaml"], ["--port"]]) {
    assert.throws(() => applyArguments({}, args), /^ConfigurationError: [\s\S]*Usage: npm start/);
  }
});
