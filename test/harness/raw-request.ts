import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { connect } from "node:net";

/** An answer as it came over the wire. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export interface RawRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Written piece by piece; several pieces without a content-length go as chunks. */
  readonly body?: readonly (string | Uint8Array)[];
}

const patienceMs = 30_000;

/** Sends exactly these bytes under exactly these headers, malformed or not, and waits for the whole answer. */
export function sendRaw(url: string, { method = "POST", headers = {}, body = [] }: RawRequest): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers: { ...headers }, agent: false, timeout: patienceMs });
    request.on("timeout", () => request.destroy(new Error(`no answer from ${url}`)));
    request.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part) => {
        text += part;
      });
      response.on("error", reject);
      response.on("close", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    // An answer may come before the whole request has left; what fails then is the rest of the request.
    request.on("error", reject);
    for (const piece of body) request.write(piece);
    request.end();
  });
}

/** Writes bytes to a connection and returns what comes back until the other side closes it, or until `forMs`. */
export function sendBytes(url: string, bytes: string, forMs: number): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    let text = "";
    const done = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(text);
    };
    const timer = setTimeout(done, forMs);
    socket.setEncoding("utf8").on("data", (part) => {
      text += part;
    });
    socket.on("close", done).on("error", done).write(bytes);
  });
}
