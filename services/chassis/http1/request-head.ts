import { tokenPattern } from "./answer-head.ts";
import { HttpError } from "./http-error.ts";
import type { RequestTarget } from "./http-proxy.ts";

/** One request. */
export interface HttpRequest {
  /** `https://host:port`. */
  readonly origin: string;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** `host` replaces the origin's. The length of the body and what concerns the connection are the client's to say. */
  readonly headers: Readonly<Record<string, string>>;
  /** Not changed until the answer has begun. Absent for a request that has no body, not even an empty one. */
  readonly body?: Uint8Array | undefined;
}

/** Anything else could end a line, or become what ends one when it is cut to a byte. */
const notInValue = /[^\t\x20-\x7e\x80-\xff]/;
const notInPath = /[^\x21-\x7e]/;
/** Said by the client alone. */
const replaced = new Set(["connection", "content-length"]);
/** What the client does not do, and a server that believed it would misread. */
const refused = new Set(["transfer-encoding", "keep-alive", "upgrade", "expect", "trailer", "proxy-connection"]);
const maxNames = 1000;

/** Writes the heads of requests, after a check that nothing in them can be read as more than it is. */
export class HeadWriter {
  /** Names that were found to be good: they are the same from call to call. Of values, which may be secret, nothing is kept. */
  readonly #names = new Set<string>();

  /** Throws an `HttpError` where the request cannot be sent. */
  write({ method, path, headers, body }: HttpRequest, { authority, prefix, lines: first }: RequestTarget): string {
    if (!tokenPattern.test(method)) throw invalid("the method is none");
    if (!path.startsWith("/") || notInPath.test(path)) throw invalid("the path is none");
    let lines = first;
    let host = authority;
    for (const name in headers) {
      const value = headers[name] ?? "";
      if (!this.#names.has(name)) {
        if (replaced.has(name.toLowerCase())) continue;
        this.#checkName(name);
      }
      if (notInValue.test(value)) throw invalid(`the header ${name} holds characters that no header can carry`);
      if (name.length === 4 && name.toLowerCase() === "host") host = value;
      else lines += `${name}: ${value}\r\n`;
    }
    const length = body === undefined ? "" : `content-length: ${body.length}\r\n`;
    return `${method} ${prefix}${path} HTTP/1.1\r\nhost: ${host}\r\n${lines}${length}\r\n`;
  }

  #checkName(name: string): void {
    if (!tokenPattern.test(name)) throw invalid("a header's name is none");
    if (refused.has(name.toLowerCase())) throw invalid(`the header ${name.toLowerCase()} is not for the caller to set`);
    if (this.#names.size >= maxNames) this.#names.clear();
    this.#names.add(name);
  }
}

function invalid(what: string): HttpError {
  return new HttpError("HTTP_REQUEST_INVALID", what);
}
