import { createServer } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { InferenceService, type InferRequest } from "#gen/sluice/inference/v1/inference_service_pb.ts";

/**
 * A provider in a process of its own: it says the last message, word by word. The word `forever` is said until somebody
 * hangs up or the process dies. Prints its port once it listens.
 */
async function* words(text: string, signal: AbortSignal): AsyncGenerator<string> {
  for (const word of text.split(" ")) {
    yield word;
    while (word === "forever" && !signal.aborted) {
      await sleep(20);
      yield word;
    }
  }
}

function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function eventOf(model: string, choice: Record<string, unknown>): Uint8Array {
  const body = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model };
  return Buffer.from(
    `data: ${JSON.stringify({ ...body, choices: [{ index: 0, finish_reason: null, ...choice }] })}\n\n`,
  );
}

async function* infer({ body, stream, target }: InferRequest, { signal }: { signal: AbortSignal }) {
  const text: string = JSON.parse(Buffer.from(body).toString()).messages.at(-1).content;
  const model = target?.model ?? "";
  const contentType = stream ? "text/event-stream" : "application/json";
  yield { event: { case: "started" as const, value: { status: 200, contentType } } };
  if (stream) {
    for await (const word of words(text, signal)) {
      const payloads = [eventOf(model, { delta: { content: word } })];
      yield { event: { case: "chunk" as const, value: { payloads } } };
    }
    const payloads = [eventOf(model, { delta: {}, finish_reason: "stop" }), Buffer.from("data: [DONE]\n\n")];
    yield { event: { case: "chunk" as const, value: { payloads, last: true } } };
  } else {
    const message = { role: "assistant", content: text };
    const choices = [{ index: 0, message, finish_reason: "stop" }];
    const answer = { id: "chatcmpl-1", object: "chat.completion", created: 1, model, choices };
    yield { event: { case: "chunk" as const, value: { payloads: [encode(answer)], last: true } } };
  }
  const usage = { inputTokens: 5n, outputTokens: BigInt(text.split(" ").length) };
  yield { event: { case: "finished" as const, value: { usage, finishReason: "stop" } } };
}

const server = createServer(connectNodeAdapter({ routes: (router) => router.service(InferenceService, { infer }) }));
server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => {
  const address = server.address();
  process.stdout.write(`${typeof address === "object" ? address?.port : ""}\n`);
});
