import assert from "node:assert/strict";
import { test } from "node:test";
import { EventStreamCodec, Int64 } from "@smithy/eventstream-codec";
import { AwsEventStreamSplitter, EventStreamProblem, readEventStreamMessage } from "./aws-eventstream.ts";
import { eventStreamFrame } from "./testing/event-stream-frames.ts";
import { randomNumbers } from "./translate/testing/provider-call.ts";

const frames = [
  eventStreamFrame({}, Buffer.alloc(0)),
  eventStreamFrame({ ":event-type": "a" }, Buffer.from('{"é":1}')),
  eventStreamFrame({ ":event-type": "b", "": "", ":content-type": "application/json" }, Buffer.alloc(300, 7)),
  eventStreamFrame({}, Buffer.from("x")),
];
const stream = Buffer.concat(frames);

function split(pieces: readonly Uint8Array[]): Buffer[] {
  const splitter = new AwsEventStreamSplitter();
  const messages = pieces.flatMap((piece) => splitter.push(piece)).map((message) => Buffer.from(message));
  splitter.end();
  return messages;
}

test("messages do not depend on how the stream is cut", () => {
  assert.deepEqual(split([stream]), frames);
  for (let size = 1; size <= stream.length; size += 1) {
    const count = Math.ceil(stream.length / size);
    const pieces = Array.from({ length: count }, (_, index) => stream.subarray(index * size, (index + 1) * size));
    assert.deepEqual(split(pieces), frames, `pieces of ${size}`);
  }
  const random = randomNumbers(7);
  for (let round = 0; round < 200; round += 1) {
    const pieces: Buffer[] = [];
    for (let at = 0; at < stream.length; ) {
      const end = at + Math.floor(random() * 40);
      pieces.push(stream.subarray(at, end));
      at = end;
    }
    assert.deepEqual(split(pieces), frames);
  }
});

test("a message within one chunk is not copied", () => {
  for (const message of new AwsEventStreamSplitter().push(stream)) assert.equal(message.buffer, stream.buffer);
});

test("what AWS' own codec encodes is read, and what is written for tests is what it reads", () => {
  const codec = new EventStreamCodec(
    (bytes) => Buffer.from(bytes).toString(),
    (text) => Buffer.from(text),
  );
  const body = Buffer.from('{"é":1}');
  const encoded = codec.encode({
    headers: {
      yes: { type: "boolean", value: true },
      byte: { type: "byte", value: 1 },
      short: { type: "short", value: 1 },
      integer: { type: "integer", value: 1 },
      long: { type: "long", value: Int64.fromNumber(1) },
      bytes: { type: "binary", value: Buffer.from([1, 2]) },
      time: { type: "timestamp", value: new Date(0) },
      id: { type: "uuid", value: "01234567-89ab-cdef-0123-456789abcdef" },
      ":event-type": { type: "string", value: "a" },
    },
    body,
  });
  const [whole] = split([encoded.subarray(0, 5), encoded.subarray(5)]);
  const message = readEventStreamMessage(whole ?? stream);
  assert.deepEqual([...message.headers], [[":event-type", "a"]]);
  assert.deepEqual(Buffer.from(message.payload), body);
  const decoded = codec.decode(eventStreamFrame({ ":event-type": "a" }, body));
  assert.deepEqual(decoded.headers, { ":event-type": { type: "string", value: "a" } });
  assert.deepEqual(Buffer.from(decoded.body), body);
});

test("headers and payload", () => {
  const [, second, third] = frames;
  const message = readEventStreamMessage(second ?? stream);
  assert.deepEqual([...message.headers], [[":event-type", "a"]]);
  assert.equal(Buffer.from(message.payload).toString(), '{"é":1}');
  assert.equal(readEventStreamMessage(third ?? stream).headers.get(":content-type"), "application/json");

  // A true, a byte, a short, an int, a long, bytes, a time, a UUID, and the text behind them.
  const values = [[0], [2, 1], [3, 1, 1], [4, 1, 1, 1, 1], [5, ...Array<number>(8).fill(1)], [6, 0, 2, 1, 1]];
  const others = [...values, [8, ...Array<number>(8).fill(1)], [9, ...Array<number>(16).fill(1)], [7, 0, 1, 0x7a]];
  const headers = Buffer.concat(others.map((value) => Buffer.from([1, 0x68, ...value])));
  const bytes = Buffer.alloc(12 + headers.length + 4);
  bytes.writeUInt32BE(headers.length, 4);
  bytes.set(headers, 12);
  assert.deepEqual([...readEventStreamMessage(bytes).headers], [["h", "z"]]);

  for (const broken of [
    [1, 0x68, 11],
    [1, 0x68, 7, 0, 9, 0x7a],
    [9, 0x68],
    [1, 0x68, 7],
    [1, 0x68, 4, 1],
  ]) {
    const message = Buffer.alloc(12 + broken.length + 4);
    message.writeUInt32BE(broken.length, 4);
    message.set(broken, 12);
    assert.throws(() => readEventStreamMessage(message), EventStreamProblem);
  }
});

test("damage is found before anything is kept for it", () => {
  for (let at = 0; at < stream.length; at += 1) {
    const damaged = Buffer.from(stream);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    assert.throws(() => split([damaged]), EventStreamProblem, `byte ${at}`);
  }
  const huge = eventStreamFrame({}, Buffer.alloc(1000));
  assert.throws(() => new AwsEventStreamSplitter(500).push(huge.subarray(0, 12)), /larger than 500 bytes/);
  assert.equal(new AwsEventStreamSplitter(huge.length).push(huge).length, 1);
});

test("a stream that ends in the middle of a message is cut short", () => {
  for (const length of [1, 15, stream.length - 1]) {
    const splitter = new AwsEventStreamSplitter();
    splitter.push(stream.subarray(0, length));
    assert.throws(() => splitter.end(), /middle of a message/);
  }
});

test("no bytes break it in another way", () => {
  const random = randomNumbers(11);
  for (let round = 0; round < 500; round += 1) {
    const bytes = Buffer.from(Array.from({ length: 64 }, () => Math.floor(random() * 256)));
    assert.throws(() => new AwsEventStreamSplitter().push(bytes), EventStreamProblem);
  }
});
