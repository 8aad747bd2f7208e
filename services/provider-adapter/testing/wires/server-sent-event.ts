import type { JsonObject } from "../../provider.ts";

/** An event of a stream, with its `event:` line where it has a name. */
export function sseEvent(data: JsonObject, name = ""): Uint8Array {
  return Buffer.from(`${name === "" ? "" : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`);
}

/** Text in pieces, as models write. */
export function piecesOf(text: string): string[] {
  return text.match(/.{1,5}/gsu) ?? [];
}
