/**
 * Why an exchange failed: the connection, the head of the answer or the next piece of its body took too long; the connection
 * ended before the answer did; the answer is not HTTP, or not such as can be read safely; the request is none that can be
 * sent; the client is closed; the proxy cannot be reached, or leads to nowhere. What the network says (`ECONNREFUSED`) comes as Node.js raises it.
 */
export type HttpErrorCode =
  | "HTTP_CONNECT_TIMEOUT"
  | "HTTP_HEAD_TIMEOUT"
  | "HTTP_BODY_TIMEOUT"
  | "HTTP_CUT"
  | "HTTP_MALFORMED"
  | "HTTP_REQUEST_INVALID"
  | "HTTP_CLOSED"
  | "HTTP_PROXY_UNREACHABLE"
  | "HTTP_PROXY_REFUSED";

/** An exchange failed. The message holds nothing of what was sent or received. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly code: HttpErrorCode;

  constructor(code: HttpErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** The answer is not HTTP, or not such as can be read safely. */
export function malformed(what: string): HttpError {
  return new HttpError("HTTP_MALFORMED", what);
}
