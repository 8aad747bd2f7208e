import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { copyFile, mkdir, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { readTestEnv } from "#chassis/testing/config.ts";
import { copyTestDataDir } from "#chassis/testing/embedded.ts";
import { startLoad } from "./harness/call-load.ts";
import { type GatewayProcess, makeDataDir, removeDataDir, startGatewayProcess } from "./harness/gateway-process.ts";
import { type ShellOutcome, startShell } from "./harness/shell-command.ts";
import { generateKey, spendRows } from "./harness/spend.ts";

const root = join(import.meta.dirname, "..");
const masterKey = "sk-backup-master-0a1b2c3d4e";
const prompt = { model: "priced", messages: [{ role: "user", content: "Hello!" }] };
const configuration = `
model_list:
  - model_name: priced
    litellm_params: { model: mock/echo, input_cost_per_token: 0.000001, output_cost_per_token: 0.000002 }
`;

/** Runs one of the package's commands as a person does. */
function startCommand(name: "backup" | "restore", dataDir: string, args: readonly string[], before = "") {
  const program = join(root, "services/mesh/commands", `${name}.ts`);
  const command = [process.execPath, program, ...args].map((word) => `'${word}'`).join(" ");
  const env = { PATH: readTestEnv().path, SLUICE_DATA_DIR: dataDir };
  return startShell(`${before} exec ${command}`, { cwd: dataDir, env });
}

function run(name: "backup" | "restore", dataDir: string, ...args: string[]): Promise<ShellOutcome> {
  return startCommand(name, dataDir, args).done;
}

describe("a gateway that is in use", { timeout: 600_000 }, () => {
  const dirs: string[] = [];
  let gateway: GatewayProcess;
  let key: string;
  const files = { inUse: "", atRest: "" };

  async function start(dataDir: string): Promise<GatewayProcess> {
    const config = join(dataDir, "config.yaml");
    await writeFile(config, configuration);
    const env = { CONFIG_FILE_PATH: config };
    return startGatewayProcess({ entry: "services/main.ts", env, dataDir, masterKey });
  }

  async function newDir(): Promise<string> {
    const dir = await makeDataDir();
    dirs.push(dir);
    return dir;
  }

  const infoSchema = z.object({ info: z.object({ spend: z.number() }) });
  async function spendOf(of: GatewayProcess): Promise<number> {
    const response = await of.request(`/key/info?key=${key}`);
    return infoSchema.parse(await response.json()).info.spend;
  }

  before(async () => {
    const dataDir = await newDir();
    gateway = await start(dataDir);
    key = await generateKey(gateway, { max_budget: 100 });
    files.inUse = join(dataDir, "in-use.tar.zst");
    files.atRest = join(dataDir, "at-rest.tar.zst");
  });
  after(async () => {
    await gateway?.stop();
    await Promise.all(dirs.map(removeDataDir));
  });

  test("is backed up without a failed call, and the backup says nothing of its secrets", async () => {
    const calls = startLoad(() => gateway.request("/v1/chat/completions", { key, body: prompt }), 2);
    const changes = startLoad(() => gateway.request("/key/generate", { body: { max_budget: 1 } }), 1);
    await sleep(1000);
    const made = await run("backup", gateway.dataDir, "--to", files.inUse);
    await sleep(500);
    assert.deepEqual([...(await calls.stop()).failures, ...(await changes.stop()).failures], []);
    assert.equal(made.code, 0, made.output);
    assert.match(made.output, /auth: \d+ tables, [1-9]\d* rows/);
    for (const secret of [masterKey, key]) assert.ok(!made.output.includes(secret));
    assert.equal((await stat(files.inUse)).mode & 0o777, 0o600);
    assert.ok(!existsSync(join(gateway.dataDir, "backup-work")));
    await spendRows(gateway, key, calls.count());
  });

  test("is restored elsewhere with its keys and to the same spend", async () => {
    const made = await run("backup", gateway.dataDir, "--to", files.atRest);
    assert.equal(made.code, 0, made.output);
    const elsewhere = await newDir();
    const restored = await run("restore", elsewhere, "--from", files.atRest);
    assert.equal(restored.code, 0, restored.output);
    const bytes = await bytesBelow(elsewhere);
    assert.ok(bytes.includes("spend_log"), "the search finds what is there");
    for (const secret of [masterKey, key]) assert.ok(!bytes.includes(secret));
    const other = await start(elsewhere);
    try {
      assert.equal(await spendOf(other), await spendOf(gateway));
      const answer = await other.request("/v1/chat/completions", { key, body: prompt });
      assert.equal(answer.status, 200, await answer.text());
    } finally {
      await other.stop();
    }
  });

  test("a backup that was made in use opens, with what was there when it was made", async () => {
    const elsewhere = await newDir();
    const restored = await run("restore", elsewhere, "--from", files.inUse);
    assert.equal(restored.code, 0, restored.output);
    const other = await start(elsewhere);
    try {
      const spend = await spendOf(other);
      assert.ok(spend > 0 && spend <= (await spendOf(gateway)), `${spend}`);
    } finally {
      await other.stop();
    }
  });

  test("a running gateway is not restored; a stopped one is with --replace, which keeps what was there", async () => {
    const spend = await spendOf(gateway);
    const refused = await run("restore", gateway.dataDir, "--from", files.atRest, "--replace");
    assert.equal(refused.code, 1);
    assert.match(refused.output, /Stop the gateway first/);
    const later = await generateKey(gateway);
    await gateway.stop();
    const occupied = await run("restore", gateway.dataDir, "--from", files.atRest);
    assert.match(occupied.output, /There is a database in .* already/);
    const replaced = await run("restore", gateway.dataDir, "--from", files.atRest, "--replace");
    assert.equal(replaced.code, 0, replaced.output);
    const databases = (await readdir(gateway.dataDir)).filter((name) => name.startsWith("postgres"));
    assert.equal(databases.length, 2, databases.join());
    gateway = await start(gateway.dataDir);
    assert.equal(await spendOf(gateway), spend);
    assert.equal((await gateway.request("/v1/models", { key: later })).status, 401, "made after the backup");
  });
});

describe("a gateway that is stopped", { timeout: 600_000 }, () => {
  const dirs: string[] = [];
  let dataDir: string;
  let whole: string;
  before(async () => {
    dataDir = await copyTestDataDir();
    dirs.push(dataDir);
    whole = join(dataDir, "whole.tar.zst");
    const made = await run("backup", dataDir, "--to", whole);
    assert.equal(made.code, 0, made.output);
  });
  after(() => Promise.all(dirs.map(removeDataDir)));

  test("a backup replaces nothing, and without a name gets one of its own", async () => {
    const again = await run("backup", dataDir, "--to", whole);
    assert.equal(again.code, 1);
    assert.match(again.output, /exists already/);
    const unnamed = await run("backup", dataDir);
    assert.equal(unnamed.code, 0, unnamed.output);
    const [name, ...more] = await readdir(join(dataDir, "backups"));
    assert.match(name ?? "", /^sluice-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ\.tar\.zst$/);
    assert.deepEqual(more, []);
  });

  test("kill -9 at any stage leaves no file, and nothing that the next backup minds", async () => {
    const file = join(dataDir, "killed.tar.zst");
    /** Returns the exit code: null where it was killed, 0 where it was done before the kill came. */
    const killAt = async (stage: string): Promise<number | null> => {
      const backup = startCommand("backup", dataDir, ["--to", file]);
      const state = { over: false };
      void backup.done.then(() => (state.over = true));
      while (!existsSync(join(dataDir, "backup-work/now", stage)) && !state.over) await sleep(1);
      backup.kill();
      const { code, output } = await backup.done;
      assert.ok(code === null || code === 0, output);
      return code;
    };
    for (const stage of ["copy", "packed", "opened"]) {
      for (let tries = 1; (await killAt(stage)) === 0; tries += 1) {
        assert.ok(tries < 10, `never killed at ${stage}`);
        await rm(file);
      }
      assert.ok(!existsSync(file), stage);
    }
    const next = await run("backup", dataDir, "--to", file);
    assert.equal(next.code, 0, next.output);
    assert.ok(!existsSync(join(dataDir, "backup-work")));
  });

  test("a disk that is full is said, and leaves no file", async () => {
    const file = join(dataDir, "full.tar.zst");
    // The largest file that may be written, in KiB: the archive is larger.
    const outcome = await startCommand("backup", dataDir, ["--to", file], "trap '' XFSZ; ulimit -f 2000;").done;
    assert.equal(outcome.code, 1, outcome.output);
    assert.match(outcome.output, /No backup was made\.[\s\S]*EFBIG/);
    assert.ok(!existsSync(file) && !existsSync(join(dataDir, "backup-work")));
  });

  const damages: [string, (file: string) => Promise<void>][] = [
    ["something else", (file) => writeFile(file, "-- PostgreSQL database dump")],
    ["changed in one byte", (file) => changeByte(file, 0.5)],
  ];
  for (const [what, damage] of damages) {
    test(`a backup that is ${what} is refused, and nothing is put in its place`, async () => {
      const target = await makeDataDir();
      dirs.push(target);
      const damaged = join(target, "damaged.tar.zst");
      await copyFile(whole, damaged);
      await damage(damaged);
      const outcome = await run("restore", target, "--from", damaged);
      assert.equal(outcome.code, 1, outcome.output);
      assert.match(outcome.output, /is not a backup of Sluice, or is damaged/);
      assert.doesNotMatch(outcome.output, /\.ts:\d+/);
      assert.deepEqual(
        (await readdir(target)).filter((name) => !name.startsWith("lock.db")),
        ["damaged.tar.zst"],
      );
    });
  }

  test("a directory without a database, a file that is not there and an unknown option are complaints", async () => {
    const empty = join(dataDir, "empty");
    await mkdir(empty);
    assert.match((await run("backup", empty)).output, /There is no database in/);
    assert.match((await run("restore", empty, "--from", join(empty, "none"))).output, /cannot be read/);
    assert.match((await run("restore", empty)).output, /--from is missing[\s\S]*Usage/);
    assert.match((await run("backup", empty, "--form")).output, /Unknown option '--form'/);
  });
});

/** Everything that the files of a directory hold. */
async function bytesBelow(directory: string): Promise<Buffer> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return Buffer.concat(await Promise.all(files.map((entry) => readFile(join(entry.parentPath, entry.name)))));
}

async function changeByte(path: string, part: number): Promise<void> {
  const file = await open(path, "r+");
  try {
    const at = Math.floor((await file.stat()).size * part);
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, at);
    byte[0] = (byte[0] ?? 0) ^ 0x55;
    await file.write(byte, 0, 1, at);
  } finally {
    await file.close();
  }
}
