import type { IncomingMessage } from "node:http";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { invalidRequest } from "./body-json.ts";

/** The client went away before its request was complete. Nobody is left to be told. */
export class ClientGone extends Error {
  override readonly name = "ClientGone";
}

/**
 * Reads a request body of at most `limit` bytes. The limit holds while reading, whatever the content-length says.
 *
 * @throws BODY_TOO_LARGE, INVALID_REQUEST for an encoding, or ClientGone.
 */
export async function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const encoding = request.headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") {
    throw invalidRequest("'content-encoding' of a request must be identity.", "content-encoding");
  }
  const declared = Number(request.headers["content-length"] ?? Number.NaN);
  if (declared > limit) throw tooLarge(limit);
  // Most bodies come with their head: the parser, which has called us with the head, hands them over right behind it, and says
  // only later that the message is complete.
  request.read(0);
  await undefined;
  if (request.destroyed) throw new ClientGone("the request was cut off");
  const isThere = request.complete || request.readableLength === declared;
  return isThere ? takeBody(request, limit) : collectBody(request, limit);
}

/** A body that is there is taken without a listener. */
function takeBody(request: IncomingMessage, limit: number): Buffer {
  const body: Buffer = request.read() ?? Buffer.alloc(0);
  if (body.length > limit) throw tooLarge(limit);
  return body;
}

function collectBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size > limit) fail(tooLarge(limit));
      else chunks.push(chunk);
    };
    const fail = (error: Error) => {
      request.off("data", onData).pause();
      chunks.length = 0;
      reject(error);
    };
    // An error is followed by the close, as an end is: three listeners are enough, and each of them is paid by every call.
    request
      .on("data", onData)
      .on("end", () => resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)))
      .on("close", () => {
        if (!request.complete) fail(new ClientGone("the request was cut off"));
      });
  });
}

function tooLarge(limit: number) {
  return gatewayError(
    Reason.BODY_TOO_LARGE,
    `The request body is larger than ${limit} bytes (${Math.floor(limit / 1024 / 1024)} MB), the limit of this gateway.`,
  );
}
