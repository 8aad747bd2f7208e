import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import type { JsonObject } from "../provider.ts";

/** Frames one message of `application/vnd.amazon.eventstream` with headers that are texts. */
export function eventStreamFrame(headers: Readonly<Record<string, string>>, payload: Uint8Array): Buffer {
  const encoded = Buffer.concat(Object.entries(headers).map(([name, value]) => headerBytes(name, value)));
  const frame = Buffer.alloc(12 + encoded.length + payload.length + 4);
  frame.writeUInt32BE(frame.length, 0);
  frame.writeUInt32BE(encoded.length, 4);
  frame.writeUInt32BE(crc32(frame.subarray(0, 8)), 8);
  frame.set(encoded, 12);
  frame.set(payload, 12 + encoded.length);
  frame.writeUInt32BE(crc32(frame.subarray(0, frame.length - 4)), frame.length - 4);
  return frame;
}

function headerBytes(name: string, value: string): Buffer {
  const length = Buffer.alloc(3);
  length.writeUInt8(7, 0);
  length.writeUInt16BE(Buffer.byteLength(value), 1);
  return Buffer.concat([Buffer.from([Buffer.byteLength(name)]), Buffer.from(name), length, Buffer.from(value)]);
}

/** An event of a ConverseStream. */
export function converseEvent(type: string, payload: JsonObject): Buffer {
  const headers = { ":event-type": type, ":content-type": "application/json", ":message-type": "event" };
  return eventStreamFrame(headers, Buffer.from(JSON.stringify(payload)));
}

/** An exception in the middle of a ConverseStream. */
export function converseException(type: string, message: string): Buffer {
  const headers = { ":exception-type": type, ":content-type": "application/json", ":message-type": "exception" };
  return eventStreamFrame(headers, Buffer.from(JSON.stringify({ message })));
}

const fixtures = new URL("../providers/__fixtures__/bedrock/", import.meta.url);

/** The events of the stream fixture, framed. */
export function fixtureFrames(): Buffer[] {
  return readFileSync(new URL("stream.jsonl", fixtures), "utf8")
    .trim()
    .split("\n")
    .map((line) => {
      const [type, payload] = JSON.parse(line) as [string, JsonObject];
      return converseEvent(type, payload);
    });
}

export function bedrockFixture(name: string): Buffer {
  return readFileSync(new URL(name, fixtures));
}
