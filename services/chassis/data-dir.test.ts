import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openDataDir } from "#chassis/data-dir.ts";

const parent = await mkdtemp(join(tmpdir(), "sluice-data-"));
after(() => rm(parent, { recursive: true, force: true }));

test("the directory is made for this user only and is held until it is closed", async () => {
  const path = join(parent, "a", "b");
  const first = await openDataDir(path);
  assert.equal((await stat(path)).mode & 0o777, 0o700);
  await assert.rejects(
    openDataDir(path),
    (error: Error) => error.message.includes(path) && /another/.test(error.message),
  );
  first.close();
  (await openDataDir(path)).close();
});

test("the lock of a killed process is free, that of a running one is not", async () => {
  const path = join(parent, "killed");
  const module = new URL("./data-dir.ts", import.meta.url).href;
  const script = `const { openDataDir } = await import(${JSON.stringify(module)});
    await openDataDir(${JSON.stringify(path)}); console.log("held"); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  await assert.rejects(openDataDir(path), /another Sluice process/);
  child.kill("SIGKILL");
  await once(child, "exit");
  (await openDataDir(path)).close();
});

test("a path that cannot be a directory is named in the error", async () => {
  const file = join(parent, "file");
  await writeFile(file, "");
  await assert.rejects(openDataDir(join(file, "below")), (error: Error) => error.message.includes(join(file, "below")));
});
