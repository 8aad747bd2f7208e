import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { HttpClient } from "../http-client.ts";
import { Asked } from "./ask.ts";
import type { Script } from "./raw-server.ts";

const digits = "0123456789";
const size = 20_000_000;
const question = Buffer.concat([Buffer.alloc(5_000_000, "y"), Buffer.from("!")]);

/** Answers a large body with a larger one. */
export const answerLargely: Script = (socket, _, connection) => {
  const answer = () => {
    if (!connection.received.endsWith("!")) return;
    connection.received = "";
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`);
    socket.write(Buffer.alloc(size, digits));
  };
  socket.on("data", answer);
  answer();
};

/** Sends the one and reads the other, with a rest in which nothing may come. */
export async function exchangeLargely(client: HttpClient, origin: string): Promise<void> {
  const asked = new Asked(client, origin, { method: "POST", body: question });
  await asked.begun.promise;
  asked.exchange.pause();
  await sleep(50);
  const read = asked.body.length;
  await sleep(50);
  assert.equal(asked.body.length, read);
  assert.ok(read < size);
  asked.exchange.resume();
  await asked.over.promise;
  assert.equal(asked.error, undefined);
  assert.ok(asked.body === digits.repeat(size / digits.length));
}
