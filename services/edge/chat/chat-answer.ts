import type { DescMessage, JsonValue, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { readChatJson } from "./chat-json.ts";

/** The closing event of a stream. */
const done = "[DONE]";

/** What a provider answered, as a message. Throws Internal where it is no JSON object: an adapter lets none through. */
export function readAnswer<S extends DescMessage>(schema: S, json: Buffer | string): MessageShape<S> {
  let value: JsonValue;
  try {
    value = JSON.parse(json.toString());
  } catch (error) {
    throw new ConnectError("the answer is no JSON", Code.Internal, undefined, undefined, error);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return readChatJson(schema, value);
  throw new ConnectError("the answer is no object", Code.Internal);
}

/** The data of one server-sent event; undefined of the closing one and of one without data. */
export function readEventData(event: Uint8Array): string | undefined {
  const lines = Buffer.from(event.buffer, event.byteOffset, event.byteLength)
    .toString()
    .split(/\r\n|\n|\r/);
  const data = lines.flatMap((line) => (line.startsWith("data:") ? [line.slice(5).trimStart()] : [])).join("\n");
  return data === "" || data === done ? undefined : data;
}
