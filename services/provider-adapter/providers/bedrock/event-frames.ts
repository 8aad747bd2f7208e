import { upstreamError } from "#chassis/errors.ts";
import { type EventStreamMessage, readEventStreamMessage } from "../../aws-eventstream.ts";
import type { JsonObject } from "../../provider.ts";
import { decodeText, parseObject } from "../../translate/json-reading.ts";
import { brokenAnswer, classifyException } from "./classify-error.ts";

/** An event of a stream. */
export interface BedrockEvent {
  readonly type: string;
  readonly payload: JsonObject;
  /** Bytes of the payload as it came. */
  readonly bytes: number;
}

/** Reads a frame. Throws the error of `upstreamError` where it is an exception, or no JSON. */
export function readEvent(frame: Uint8Array): BedrockEvent {
  const message = readEventStreamMessage(frame);
  throwException(message);
  const payload = parseObject(decodeText(message.payload));
  if (payload === undefined) throw upstreamError(brokenAnswer("Bedrock sent an event that is not JSON"));
  return { type: message.headers.get(":event-type") ?? "", payload, bytes: message.payload.length };
}

/**
 * The JSON text that a frame of InvokeModelWithResponseStream holds in base64; undefined for an event of another type.
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html
 */
export function readChunk(frame: Uint8Array): string | undefined {
  const { type, payload } = readEvent(frame);
  if (type !== "chunk") return undefined;
  if (typeof payload.bytes !== "string") throw upstreamError(brokenAnswer("Bedrock sent a chunk without bytes"));
  return Buffer.from(payload.bytes, "base64").toString();
}

function throwException(message: EventStreamMessage): void {
  const kind = message.headers.get(":message-type");
  if (kind === "exception" || kind === "error") throw upstreamError(classifyException(message));
}
