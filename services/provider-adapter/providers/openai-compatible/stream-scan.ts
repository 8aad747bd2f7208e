/** What a stream event is, told from its first bytes. */
export type EventShape = "json" | "done" | "other";

const done = Buffer.from("[DONE]");
const data = Buffer.from("data:");
const space = 0x20;
const openBrace = 0x7b;
const openBracket = 0x5b;

/**
 * `json`: one `data` line, whose value begins as an object does and ends as one does. `done`: `data: [DONE]`. `other`: all
 * else, which has to be looked at more closely.
 */
export function shapeOf(event: Uint8Array): EventShape {
  for (let at = 0; at < data.length; at += 1) if (event[at] !== data[at]) return "other";
  let start = data.length;
  while (event[start] === space) start += 1;
  if (event[start] === openBrace) return endsAsObject(event) ? "json" : "other";
  return event[start] === openBracket && isDone(event, start) ? "done" : "other";
}

function isDone(event: Uint8Array, start: number): boolean {
  for (let at = 0; at < done.length; at += 1) if (event[start + at] !== done[at]) return false;
  return true;
}

/** The last byte before the line ends is a `}`, and the blank line follows the one line directly. */
function endsAsObject(event: Uint8Array): boolean {
  let at = event.length - 1;
  while (at > 0 && (event[at] === 0x0a || event[at] === 0x0d || event[at] === space)) at -= 1;
  return event[at] === 0x7d;
}

/**
 * The events' bytes as one string of single-byte characters, to be searched. A quote inside a JSON string is escaped, so a
 * `"name"` found in it is a member or a whole value and never the model's text.
 */
export function latin1Of(events: readonly Uint8Array[]): string {
  const [first] = events;
  if (first === undefined) return "";
  let end = first.byteOffset;
  for (const event of events) {
    if (event.buffer !== first.buffer || event.byteOffset !== end) return events.map(eventText).join("");
    end += event.byteLength;
  }
  return Buffer.from(first.buffer, first.byteOffset, end - first.byteOffset).toString("latin1");
}

function eventText(event: Uint8Array): string {
  return Buffer.from(event.buffer, event.byteOffset, event.byteLength).toString("latin1");
}
