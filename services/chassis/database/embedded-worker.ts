import { parentPort, workerData } from "node:worker_threads";
import { PGlite } from "@electric-sql/pglite";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";
import { giveWayToCalls } from "#chassis/background-thread.ts";
import type { EmbeddedWorkerData } from "#chassis/database/embedded.ts";
import { SyncedFiles, syncedParams, syncTree } from "#chassis/database/synced-files.ts";

/** The thread that the embedded database runs in. The main thread ends it. */
const { dataDir, socketPath, fsync }: EmbeddedWorkerData = workerData;

giveWayToCalls();
const params = [...PGlite.defaultStartParams, "-c", "shared_buffers=32MB", "-c", "max_wal_size=128MB"];
// Later parameters win, also over the `-F` among PGlite's own.
const database = fsync
  ? await PGlite.create({ fs: new SyncedFiles(dataDir), startParams: [...params, ...syncedParams] })
  : await PGlite.create({ dataDir, startParams: params });
if (fsync) syncTree(dataDir);

if (socketPath === undefined) {
  await database.close();
  parentPort?.postMessage("initialized");
} else {
  endThreadOnBreakdown(database);
  const server = new PGLiteSocketServer({ db: database, path: socketPath, maxConnections: 200 });
  await server.start();
  parentPort?.on("message", async (message: unknown) => {
    if (message === "ping") {
      parentPort?.postMessage("pong");
      return;
    }
    await server.stop();
    await database.close();
    parentPort?.postMessage("closed");
  });
  parentPort?.postMessage("listening");
}

/**
 * An SQL error is an answer like any other; what throws here is a WebAssembly trap, after which the socket server would
 * take queries and answer none. The uncaught error ends the thread, and the main thread starts another.
 */
function endThreadOnBreakdown(of: PGlite): void {
  const execute = of.execProtocolRawStream.bind(of);
  of.execProtocolRawStream = async (message, options) => {
    try {
      await execute(message, options);
    } catch (error) {
      setImmediate(() => {
        throw error;
      });
      throw error;
    }
  };
}
