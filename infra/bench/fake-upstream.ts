import { createServer, type Socket } from "node:net";
import { pathToFileURL } from "node:url";
import { knobsOf, type UpstreamKnobs } from "./upstream-knobs.ts";

/**
 * A provider in OpenAI's format that costs next to nothing: HTTP/1.1 by hand over `node:net`, answers made before the
 * first request. What it answers is in the model's name (upstream-knobs.ts). Requests must carry a content-length and
 * must not be pipelined.
 */
const created = 1_700_000_000;
const usage = {
  prompt_tokens: 120,
  completion_tokens: 100,
  total_tokens: 220,
  prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0, accepted_prediction_tokens: 0 },
};
const sentence = "A gateway forwards what it is given, counts what it forwards, and keeps out of the way otherwise. ";
const headEnd = Buffer.from("\r\n\r\n");

const jsonAnswer = wholeAnswer("200 OK", {
  id: "chatcmpl-bench",
  object: "chat.completion",
  created,
  model: "bench-2026-01-01",
  choices: [
    {
      index: 0,
      message: { role: "assistant", content: sentence.repeat(5).trim(), refusal: null, annotations: [] },
      logprobs: null,
      finish_reason: "stop",
    },
  ],
  usage,
  service_tier: "default",
  system_fingerprint: "fp_bench",
});
const notFound = wholeAnswer("404 Not Found", { error: { message: "no such path", type: "invalid_request_error" } });
const noLength = wholeAnswer("411 Length Required", { error: { message: "send a content-length", type: "bench" } });

const streamHead = Buffer.from(
  "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n",
);
const firstEvent = frame(chunkEvent({ role: "assistant", content: "" }, null));
const tokenEvent = frame(chunkEvent({ content: " token" }, null));
const finishEvent = frame(chunkEvent({}, "stop"));
const usageEvent = frame(
  `data: ${JSON.stringify({ id: "chatcmpl-bench", object: "chat.completion.chunk", created, model: "bench-2026-01-01", choices: [], usage })}\n\n`,
);
const doneEvent = frame("data: [DONE]\n\n");
const streamEnd = Buffer.from("0\r\n\r\n");

function wholeAnswer(status: string, body: object): Buffer {
  const text = JSON.stringify(body);
  return Buffer.from(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\nx-request-id: req_bench\r\n\r\n${text}`,
  );
}

function chunkEvent(delta: object, finishReason: string | null): string {
  const choices = [{ index: 0, delta, logprobs: null, finish_reason: finishReason }];
  const head = { id: "chatcmpl-bench", object: "chat.completion.chunk", created, model: "bench-2026-01-01" };
  return `data: ${JSON.stringify({ ...head, system_fingerprint: "fp_bench", choices })}\n\n`;
}

/** One chunk of HTTP's chunked encoding. */
function frame(text: string): Buffer {
  return Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
}

/** Writes a stream's events one by one, each in a turn of the event loop of its own, as a provider would send them. */
class StreamedAnswer {
  readonly #socket: Socket;
  readonly #knobs: UpstreamKnobs;
  readonly #withUsage: boolean;
  #left: number;

  constructor(socket: Socket, knobs: UpstreamKnobs, withUsage: boolean) {
    this.#socket = socket;
    this.#knobs = knobs;
    this.#withUsage = withUsage;
    this.#left = knobs.chunks;
  }

  start(): void {
    this.#socket.write(Buffer.concat([streamHead, firstEvent]));
    this.#later();
  }

  readonly #step = (): void => {
    if (this.#socket.destroyed) return;
    if (this.#left === 0) {
      this.#end();
      return;
    }
    this.#left -= 1;
    if (this.#socket.write(tokenEvent)) this.#later();
    else this.#socket.once("drain", this.#step);
  };

  #later(): void {
    if (this.#knobs.gapMs === 0) setImmediate(this.#step);
    else setTimeout(this.#step, this.#knobs.gapMs);
  }

  #end(): void {
    this.#socket.write(Buffer.concat([finishEvent, ...(this.#withUsage ? [usageEvent] : []), doneEvent, streamEnd]));
  }
}

/** Collects one request after the other from a connection and answers it. */
class Connection {
  readonly #socket: Socket;
  #parts: Buffer[] = [];
  #size = 0;
  /** Bytes of the request including its head; 0 while the head is incomplete. */
  #wanted = 0;
  #bodyAt = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  take(data: Buffer): void {
    this.#parts.push(data);
    this.#size += data.length;
    if (this.#wanted === 0 && !this.#readHead()) return;
    if (this.#size < this.#wanted) return;
    const request = this.#joined();
    const body = request.subarray(this.#bodyAt);
    this.#parts = [];
    this.#size = 0;
    this.#wanted = 0;
    this.#answer(body);
  }

  #joined(): Buffer {
    const [first] = this.#parts;
    return first !== undefined && this.#parts.length === 1 ? first : Buffer.concat(this.#parts);
  }

  #readHead(): boolean {
    const data = this.#joined();
    const end = data.indexOf(headEnd);
    if (end < 0) return false;
    const head = data.toString("latin1", 0, end);
    this.#bodyAt = end + headEnd.length;
    if (!/^POST \S*\/chat\/completions /.test(head)) return this.#refuse(notFound);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined) return this.#refuse(noLength);
    this.#wanted = this.#bodyAt + Number(length);
    return true;
  }

  #refuse(answer: Buffer): false {
    this.#socket.end(answer);
    return false;
  }

  #answer(body: Buffer): void {
    const knobs = knobsOf(modelOf(body));
    if (knobs.delayMs === 0) this.#send(knobs, body);
    else setTimeout(() => this.#send(knobs, body), knobs.delayMs);
  }

  #send(knobs: UpstreamKnobs, body: Buffer): void {
    if (knobs.chunks === 0) this.#socket.write(jsonAnswer);
    else new StreamedAnswer(this.#socket, knobs, body.includes('"include_usage":true')).start();
  }
}

function modelOf(body: Buffer): string {
  const at = body.indexOf('"model"');
  return at < 0 ? "" : (/^"model"\s*:\s*"([^"]*)"/.exec(body.toString("latin1", at, at + 120))?.[1] ?? "");
}

/** Serves on a free port of 127.0.0.1 and prints it. */
function serve(): void {
  const server = createServer({ noDelay: true }, (socket) => {
    const connection = new Connection(socket);
    socket.on("data", (data: Buffer) => connection.take(data));
    socket.on("error", () => socket.destroy());
  });
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    if (address !== null && typeof address === "object") process.stdout.write(`listening ${address.port}\n`);
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) serve();
