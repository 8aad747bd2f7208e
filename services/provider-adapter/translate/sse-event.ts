import { decodeText } from "./json-reading.ts";

/**
 * The `data` of one whole SSE event, its lines joined as https://html.spec.whatwg.org/multipage/server-sent-events.html
 * says; undefined for an event that has none, a comment for example.
 */
export function readEventData(event: Uint8Array): string | undefined {
  const text = decodeText(event);
  const start = text.startsWith("data:") ? 0 : nextDataLine(text, 0);
  if (start < 0) return undefined;
  let data = "";
  for (let at = start; at >= 0; ) {
    const end = lineEnd(text, at);
    const line = text.slice(text.charCodeAt(at + 5) === 0x20 ? at + 6 : at + 5, end);
    data = at === start ? line : `${data}\n${line}`;
    at = nextDataLine(text, end);
  }
  return data;
}

/** The `event:` line of one whole SSE event; empty where it has none. */
export function eventName(event: Uint8Array): string {
  return /(?:^|[\r\n])event: ?([^\r\n]*)/.exec(decodeText(event))?.[1]?.trim() ?? "";
}

/** Frames an event with an `event:` line, as Anthropic does. */
export function namedEvent(name: string, data: string): Uint8Array {
  return Buffer.from(`event: ${name}\ndata: ${data}\n\n`);
}

/** Frames an event without an `event:` line, as OpenAI's chat completions do. */
export function dataEvent(data: string): Uint8Array {
  return Buffer.from(`data: ${data}\n\n`);
}

function nextDataLine(text: string, from: number): number {
  const newline = text.indexOf("\ndata:", from);
  if (newline >= 0) return newline + 1;
  const carriage = text.indexOf("\rdata:", from);
  return carriage >= 0 ? carriage + 1 : -1;
}

function lineEnd(text: string, from: number): number {
  const newline = text.indexOf("\n", from);
  const end = newline < 0 ? text.length : newline;
  const carriage = text.indexOf("\r", from);
  return carriage >= 0 && carriage < end ? carriage : end;
}
