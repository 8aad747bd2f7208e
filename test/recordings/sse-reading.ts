import type { JsonValue } from "../../services/provider-adapter/provider.ts";

/** One event of a stream, as a client sees it. */
export interface SseEvent {
  /** The `event:` line; empty where there is none. */
  readonly name: string;
  /** The parsed data; the text itself where it is no JSON, as `[DONE]`. */
  readonly data: JsonValue;
}

/**
 * Reads a whole stream the slow and plain way, as https://html.spec.whatwg.org/multipage/server-sent-events.html tells.
 * Comments are no events. A last event whose blank line is missing counts: some providers end so.
 */
export function readSse(text: string): SseEvent[] {
  const events: SseEvent[] = [];
  let name = "";
  let data: string[] = [];
  for (const line of [...text.split(/\r\n|\n|\r/), ""]) {
    if (line === "") {
      if (data.length > 0) events.push({ name, data: parsed(data.join("\n")) });
      name = "";
      data = [];
      continue;
    }
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") name = value;
    if (field === "data") data.push(value);
  }
  return events;
}

function parsed(text: string): JsonValue {
  try {
    return JSON.parse(text);
  } catch {
    return text.trim();
  }
}
