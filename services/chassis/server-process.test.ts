import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { findProgram, freePort, runServerTool, startServerProcess } from "#chassis/server-process.ts";

const script = (code: string) => ({ command: process.execPath, args: ["-e", code] });
const ready = (line: string) => line === "ready";

/** A busy machine starts a process in seconds. */
const readyTimeoutMs = 60_000;

test("a server is ready when it says so, and stops", async () => {
  const code = `process.on("SIGTERM", () => process.exit()); console.error("ready"); setInterval(() => {}, 1000)`;
  const server = await startServerProcess({ ...script(code), ready, readyTimeoutMs });
  assert.ok(isAlive(server.pid));
  await server.stop("SIGTERM");
  await server.exited;
  assert.ok(!isAlive(server.pid));
});

test("a server that does not come up says why", async () => {
  const ends = script(`console.error("port in use"); process.exit(1)`);
  const inUse = /ended at its start: .*port in use/;
  await assert.rejects(startServerProcess({ ...ends, ready, readyTimeoutMs }), inUse);
  await assert.rejects(startServerProcess({ command: "/does/not/exist", args: [], ready, readyTimeoutMs }));
  await assert.rejects(
    runServerTool(process.execPath, ["-e", `console.error("no space"); process.exit(3)`]),
    /no space/,
  );
});

test("a server that hangs is given up, with what it wrote", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const hangs = script(`console.error("still thinking"); setInterval(() => {}, 1000)`);
  const wrote = Promise.withResolvers<void>();
  const heard = () => {
    wrote.resolve();
    return false;
  };
  const starting = startServerProcess({ ...hangs, ready: heard, readyTimeoutMs });
  await wrote.promise;
  context.mock.timers.tick(readyTimeoutMs);
  await assert.rejects(starting, /not ready in time: .*still thinking/);
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
         ready: (line) => line === "ready", readyTimeoutMs: ${readyTimeoutMs} });
       console.log(pid); setInterval(() => {}, 1000);`,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const [output] = await once(parent.stdout, "data");
  const pid = Number(String(output));
  assert.ok(isAlive(pid));
  parent.kill("SIGKILL");
  for (let tries = 0; tries < 1000 && isAlive(pid); tries += 1) await sleep(20);
  assert.ok(!isAlive(pid));
});

test("free ports are free, and each is given out once", async () => {
  const ports = await Promise.all(Array.from({ length: 100 }, freePort));
  assert.equal(new Set(ports).size, ports.length);
  const server = createServer().listen(ports[0], "127.0.0.1");
  await once(server, "listening");
  server.close();
});

test("a free port is given out by no other process while the first one lives", async () => {
  const port = await freePort();
  const other = createSocket("udp4");
  other.bind({ port, address: "127.0.0.1", exclusive: true });
  const [error] = await once(other, "error");
  assert.equal(error.code, "EADDRINUSE");
  other.close();
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
