import { AwsEventStreamSplitter } from "../../services/provider-adapter/aws-eventstream.ts";
import type { Exchange } from "../../services/provider-adapter/provider.ts";
import { objectOf, textOf } from "../../services/provider-adapter/translate/json-reading.ts";
import type { Recording } from "./recording.ts";

export function isStream({ response }: Recording): boolean {
  return response.kind === "aws-eventstream";
}

export function bytesOf({ response }: Recording): Buffer {
  const base64 = textOf(response.body_base64);
  return base64 === "" ? Buffer.from(textOf(response.body)) : Buffer.from(base64, "base64");
}

export function headersOf({ response }: Recording): Record<string, string> {
  return Object.fromEntries(Object.entries(objectOf(response.headers)).map(([name, value]) => [name, textOf(value)]));
}

/** Has a recorded answer decoded; a stream is served in pieces of a size. */
export function decode(recording: Recording, exchange: Exchange, size: number): string {
  const body = bytesOf(recording);
  if (!isStream(recording)) return Buffer.from(exchange.decodeBody(body, headersOf(recording))).toString();
  const splitter = new AwsEventStreamSplitter();
  const payloads: Uint8Array[] = [];
  for (let at = 0; at < body.length; at += size) {
    payloads.push(...exchange.decodeEvents(splitter.push(body.subarray(at, at + size))));
  }
  splitter.end();
  return Buffer.concat([...payloads, ...exchange.finish()]).toString();
}
