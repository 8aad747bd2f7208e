import type { IncomingMessage, ServerResponse } from "node:http";
import { canceledError } from "../rpc/call-errors.ts";
import { tooLargeError } from "../rpc/connect-wire.ts";

/** What is still read of a refused request, so that its connection can be used again. */
const drainBytes = 4 * 1024 * 1024;

/** Reads a whole body. Rejects with ResourceExhausted when it is larger than allowed, Canceled when it breaks off. */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (Number(request.headers["content-length"] ?? 0) > maxBytes) {
      reject(tooLargeError(maxBytes));
      return;
    }
    const chunks: Buffer[] = [];
    let size = 0;
    request.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size <= maxBytes) chunks.push(chunk);
      else reject(tooLargeError(maxBytes));
    });
    request.on("end", () => {
      const [only] = chunks;
      resolve(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, size));
    });
    request.on("close", () => {
      if (!request.complete) reject(canceledError());
    });
    request.on("error", () => reject(canceledError()));
  });
}

/**
 * Prepares the refusal of a request whose body was not read to its end. What still comes is read and forgotten: closing a
 * connection on unread bytes resets it, and the client may lose the answer. With a long rest the connection closes.
 */
export function refuse(request: IncomingMessage, response: ServerResponse): void {
  if (Number(request.headers["content-length"] ?? 0) > drainBytes) response.setHeader("connection", "close");
  let drained = 0;
  request.removeAllListeners("data");
  request.on("data", (chunk: Buffer) => {
    drained += chunk.length;
    if (drained > drainBytes) request.destroy();
  });
}

/**
 * Leaves out what says that the connection stays open, and for how long: HTTP/1.1 keeps it open unless told otherwise, and
 * every header costs both ends. A connection that is to close says so as ever.
 */
export function stayOpenUnsaid(response: ServerResponse): void {
  if (response.shouldKeepAlive && !response.hasHeader("connection")) response.removeHeader("connection");
}

/** The headers of a request as the standard object. */
export function headersOfRequest(request: IncomingMessage): Headers {
  const headers = new Headers();
  const raw = request.rawHeaders;
  for (let at = 0; at + 1 < raw.length; at += 2) headers.append(raw[at] ?? "", raw[at + 1] ?? "");
  return headers;
}
