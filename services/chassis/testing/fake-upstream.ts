import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";

/** What a fake provider was sent. */
export interface RecordedRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  /** Resolves when the connection of this request was closed before the answer was complete. */
  readonly aborted: Promise<void>;
}

/** How a body is written: in one piece, one write per SSE event, in pieces of so many bytes, or piece by piece as given. */
export type Chunking =
  | "whole"
  | "events"
  | { readonly bytes: number }
  | { readonly pieces: readonly (string | Uint8Array)[] };

/** One scripted answer. */
export interface ScriptedAnswer {
  /** 200 if absent. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** `whole` if absent. */
  readonly chunking?: Chunking;
  /** Before the head, milliseconds. */
  readonly delayMs?: number;
  /** Between the pieces of the body, milliseconds. */
  readonly pauseMs?: number;
  /** What happens when the body is written: it ends, nothing more comes, or the connection is cut. `end` if absent. */
  readonly ending?: "end" | "hang" | "cut";
  /** Nothing is ever answered, or the connection is cut before the head. */
  readonly instead?: "hang" | "cut";
}

/** Decides the answer to a request. */
export type Script = (request: RecordedRequest) => ScriptedAnswer | Promise<ScriptedAnswer>;

/** A provider that says what it is told to, on a free port of the loopback interface. */
export interface FakeUpstream {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  /** Every request so far, in order. */
  readonly requests: readonly RecordedRequest[];
  /** Connections accepted so far. */
  readonly connections: number;
  /** Replaces the script. */
  answer(script: Script | ScriptedAnswer): void;
  close(): Promise<void>;
}

export async function startFakeUpstream(script: Script | ScriptedAnswer = {}): Promise<FakeUpstream> {
  const requests: RecordedRequest[] = [];
  let current = script;
  let connections = 0;
  const server = createServer((request, response) => {
    serve(request, response, requests, () => current).catch(() => response.destroy());
  });
  server.on("connection", (socket) => {
    connections += 1;
    socket.setNoDelay(true);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${portOf(server)}`,
    requests,
    get connections() {
      return connections;
    },
    answer(next) {
      current = next;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  requests: RecordedRequest[],
  script: () => Script | ScriptedAnswer,
): Promise<void> {
  const aborted = new Promise<void>((resolve) => {
    response.on("close", () => {
      if (!response.writableFinished) resolve();
    });
  });
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part);
  const { method = "", url = "", headers } = request;
  const recorded: RecordedRequest = { method, url, headers, body: Buffer.concat(parts), aborted };
  requests.push(recorded);
  const now = script();
  await play(typeof now === "function" ? await now(recorded) : now, response);
}

async function play(answer: ScriptedAnswer, response: ServerResponse): Promise<void> {
  if (answer.delayMs !== undefined) await sleep(answer.delayMs);
  if (answer.instead === "hang") return;
  if (answer.instead === "cut") {
    response.destroy();
    return;
  }
  response.writeHead(answer.status ?? 200, answer.headers);
  response.flushHeaders();
  for (const piece of piecesOf(Buffer.from(answer.body ?? ""), answer.chunking ?? "whole")) {
    if (response.destroyed) return;
    response.write(piece);
    // A turn of the loop lets every piece leave by itself.
    await (answer.pauseMs === undefined ? nextTurn() : sleep(answer.pauseMs));
  }
  if (answer.ending === "hang") return;
  if (answer.ending === "cut") response.destroy();
  else response.end();
}

function piecesOf(body: Buffer, chunking: Chunking): readonly (string | Uint8Array)[] {
  if (chunking === "whole") return body.length === 0 ? [] : [body];
  if (chunking === "events")
    return body
      .toString("latin1")
      .split(/(?<=\n\n|\r\n\r\n|\r\r)/)
      .filter((text) => text !== "")
      .map((text) => Buffer.from(text, "latin1"));
  if ("pieces" in chunking) return chunking.pieces;
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.length; at += chunking.bytes) pieces.push(body.subarray(at, at + chunking.bytes));
  return pieces;
}
