import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { findProgram, freePort, runServerTool, startServerProcess } from "#chassis/server-process.ts";

const script = (code: string) => ({ command: process.execPath, args: ["-e", code] });
const ready = (line: string) => line === "ready";

test("a server is ready when it says so, and stops", async () => {
  const code = `console.error("ready"); process.on("SIGTERM", () => process.exit()); setInterval(() => {}, 1000)`;
  const server = await startServerProcess({ ...script(code), ready, readyTimeoutMs: 5000 });
  assert.ok(isAlive(server.pid));
  await server.stop("SIGTERM");
  await server.exited;
  assert.ok(!isAlive(server.pid));
});

test("a server that does not come up says why", async () => {
  const cases: [string, string, RegExp][] = [
    ["it ends", `console.error("port in use"); process.exit(1)`, /ended at its start: .*port in use/],
    ["it hangs", `console.error("still thinking"); setInterval(() => {}, 1000)`, /not ready in time: .*still thinking/],
  ];
  for (const [what, code, message] of cases) {
    await assert.rejects(startServerProcess({ ...script(code), ready, readyTimeoutMs: 300 }), message, what);
  }
  await assert.rejects(startServerProcess({ command: "/does/not/exist", args: [], ready, readyTimeoutMs: 2000 }));
  await assert.rejects(
    runServerTool(process.execPath, ["-e", `console.error("no space"); process.exit(3)`]),
    /no space/,
  );
});

const setpriv = findProgram("setpriv", "", ["/usr/bin", "/bin"]);

test("a server dies with a parent that is killed", { skip: setpriv ? false : "no setpriv" }, async () => {
  const module = new URL("./server-process.ts", import.meta.url).href;
  const server = `console.error("ready"); setInterval(() => {}, 1000)`;
  const parent = spawn(
    process.execPath,
    [
      "--input-type=module",
      "-e",
      `const { startServerProcess } = await import(${JSON.stringify(module)});
       const { pid } = await startServerProcess({ command: process.execPath, args: ["-e", ${JSON.stringify(server)}],
         ready: (line) => line === "ready", readyTimeoutMs: 5000 });
       console.log(pid); setInterval(() => {}, 1000);`,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const [output] = await once(parent.stdout, "data");
  const pid = Number(String(output));
  assert.ok(isAlive(pid));
  parent.kill("SIGKILL");
  for (let tries = 0; tries < 100 && isAlive(pid); tries += 1) await sleep(20);
  assert.ok(!isAlive(pid));
});

test("a free port is free", async () => {
  const port = await freePort();
  const server = createServer().listen(port, "127.0.0.1");
  await once(server, "listening");
  server.close();
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
