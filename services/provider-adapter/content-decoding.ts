import { Readable, type Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from "node:zlib";
import type { UpstreamAnswer } from "./upstream.ts";

/** The body is packed in a way that was not asked for and is not known. */
export class EncodingProblem extends Error {
  override readonly name = "EncodingProblem";
}

/** Unpacks an answer. `identity` was asked for, so that this is for servers that do not listen. */
export function decodeAnswer(answer: UpstreamAnswer): UpstreamAnswer {
  const encoding = answer.headers["content-encoding"]?.trim().toLowerCase() ?? "";
  if (encoding === "" || encoding === "identity") return answer;
  const decoder = createDecoder(encoding);
  if (decoder === undefined) {
    answer.cancel();
    throw new EncodingProblem("the answer has an unknown content-encoding");
  }
  const source = Readable.from(piecesOf(answer), { objectMode: true });
  source.on("error", (error) => decoder.destroy(error));
  // The next read rejects with it; without a listener it would end the process when nobody reads at that moment.
  decoder.on("error", () => source.destroy());
  const decoded = source.pipe(decoder)[Symbol.asyncIterator]();
  return {
    status: answer.status,
    headers: answer.headers,
    async read() {
      const { done, value } = await decoded.next();
      return done === true ? undefined : [value];
    },
    release() {
      source.destroy();
      decoder.destroy();
      answer.release();
    },
    cancel() {
      source.destroy();
      decoder.destroy();
      answer.cancel();
    },
  };
}

async function* piecesOf(answer: UpstreamAnswer): AsyncGenerator<Uint8Array> {
  for (;;) {
    const pieces = await answer.read();
    if (pieces === undefined) return;
    yield* pieces;
  }
}

function createDecoder(encoding: string): Transform | undefined {
  switch (encoding) {
    case "gzip":
    case "x-gzip":
      return createGunzip();
    case "deflate":
      return createInflate();
    case "br":
      return createBrotliDecompress();
    case "zstd":
      return createZstdDecompress();
    default:
      return undefined;
  }
}
