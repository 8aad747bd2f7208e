import { once } from "node:events";
import { createServer, type ServerResponse, request as sendRequest } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect, type Socket } from "node:net";
import type { IssuedIdentity } from "./certificates.ts";

/** A proxy as companies have them: it opens tunnels with CONNECT, and sends on requests whose whole address it is told. */
export interface ForwardProxy {
  /** `http://127.0.0.1:<port>`, or https. */
  readonly url: string;
  /** What it was asked for: `CONNECT host:port`, or `GET http://host:port/path`. */
  readonly asked: readonly string[];
  /** The `proxy-authorization` of each of these, or an empty text. */
  readonly authorizations: readonly string[];
  close(): Promise<void>;
}

export interface ForwardProxyOptions {
  /** To speak TLS with. */
  readonly identity?: IssuedIdentity;
  /** The only `proxy-authorization` it takes. */
  readonly authorization?: string;
}

/** Every name leads to this machine. */
export async function startForwardProxy({ identity, authorization }: ForwardProxyOptions = {}): Promise<ForwardProxy> {
  const asked: string[] = [];
  const authorizations: string[] = [];
  const sockets = new Set<Socket>();
  const isWelcome = (what: string, shown = "") => {
    asked.push(what);
    authorizations.push(shown);
    return authorization === undefined || shown === authorization;
  };
  const server =
    identity === undefined ? createServer() : createSecureServer({ cert: identity.certificate, key: identity.key });
  server.on("connect", (request, client: Socket) => {
    const { url = "", headers } = request;
    if (!isWelcome(`CONNECT ${url}`, headers["proxy-authorization"])) {
      client.end("HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n");
      return;
    }
    const upstream = connect(Number(url.slice(url.lastIndexOf(":") + 1)), "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      upstream.pipe(client).pipe(upstream);
    });
    for (const socket of [upstream, client]) {
      sockets.add(socket);
      socket.on("error", () => undefined).on("close", () => [upstream, client].map((one) => one.destroy()));
    }
  });
  server.on("request", (request, response: ServerResponse) => {
    const { method, url = "", headers } = request;
    if (!isWelcome(`${method} ${url}`, headers["proxy-authorization"])) {
      response.writeHead(407).end();
      return;
    }
    const { port, pathname, search } = new URL(url);
    const { "proxy-authorization": _, ...own } = headers;
    const onward = sendRequest({ host: "127.0.0.1", port, method, path: `${pathname}${search}`, headers: own });
    onward.on("response", (answer) => answer.pipe(response.writeHead(answer.statusCode ?? 502, answer.headers)));
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    url: `${identity === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    asked,
    authorizations,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
