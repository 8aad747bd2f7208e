import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** Sends one request with plain `node:http` and reads the whole answer. */
export async function send(
  url: string,
  options: { method?: string; headers?: Record<string, string>; body?: string | Uint8Array } = {},
): Promise<RawAnswer> {
  const response = await open(url, options);
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  return { status: response.statusCode ?? 0, headers: response.headers, text };
}

/** Sends one request and resolves with the head of the answer. */
export function open(
  url: string,
  options: { method?: string; headers?: Record<string, string>; body?: string | Uint8Array } = {},
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const method = options.method ?? (options.body === undefined ? "GET" : "POST");
    const request = httpRequest(url, { method, headers: withLength(options), agent: false }, resolve);
    request.on("error", reject).end(options.body);
  });
}

/** Node sends the body of a DELETE bare, where nothing says how long it is. */
function withLength({ body, headers = {} }: { headers?: Record<string, string>; body?: string | Uint8Array }) {
  const told = Object.keys(headers).some((name) => /^(content-length|transfer-encoding)$/i.test(name));
  if (body === undefined || told) return headers;
  return { "content-length": String(Buffer.byteLength(body)), ...headers };
}

/** A JSON request with the master key. */
export function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<RawAnswer> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return send(url, {
    method: "POST",
    headers: { authorization: "Bearer sk-master", "content-type": "application/json", ...headers },
    body: text,
  });
}
