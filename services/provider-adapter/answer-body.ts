import type { UpstreamAnswer } from "./upstream.ts";

/** The whole body where all of it is there and within the limit; undefined where `readBody` has to read it. */
export function bodyAtOnce(answer: UpstreamAnswer, limit: number): Uint8Array | undefined {
  const pieces = answer.readRest?.(limit);
  return pieces === undefined ? undefined : joined(pieces);
}

/** Reads a body up to a limit; what is beyond it is left alone. */
export async function readBody(
  answer: UpstreamAnswer,
  limit: number,
): Promise<{ readonly body: Uint8Array; readonly complete: boolean }> {
  const read: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const pieces = await answer.read();
    if (pieces === undefined) return { body: joined(read), complete: true };
    for (const piece of pieces) {
      read.push(piece);
      bytes += piece.length;
    }
    if (bytes > limit) return { body: joined(read).subarray(0, limit), complete: false };
  }
}

/** A body of text without the byte order mark that some servers put before it, and that no JSON may begin with. */
export function withoutMark(body: Uint8Array): Uint8Array {
  return body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? body.subarray(3) : body;
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces;
  return only !== undefined && pieces.length === 1 ? only : Buffer.concat(pieces);
}

/** The media type of an answer, in small letters and without its parameters. */
export function mediaType({ headers }: UpstreamAnswer): string {
  return (headers["content-type"] ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}
