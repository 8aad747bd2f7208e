import { createServer as createHttp1Server, type Server as Http1Server } from "node:http";
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Session } from "node:http2";
import { createServer, type Server, type Socket } from "node:net";
import { setImmediate as immediate } from "node:timers/promises";
import type { Logger } from "../log.ts";
import type { Certificates } from "../tls/certificates.ts";
import type { RequestHandler } from "./request-handler.ts";
import { createTlsListener } from "./tls-listener.ts";

/** How an HTTP/2 connection without TLS begins, https://www.rfc-editor.org/rfc/rfc9113#section-3.4 */
const http2Preface = Buffer.from("PRI");
const maxHeaderBytes = 32 * 1024;
/** An HTTP/2 connection on which nothing moves for so long is asked to close. */
const idleSessionMs = 600_000;
/** How often, while the server drains, connections that have become idle are closed. */
const sweepMs = 20;
/**
 * How long an idle connection is kept when the server drains: a request may be on its way on it, and the answer to any other
 * request of the same client tells it to leave.
 */
const lingerMs = 300;
/**
 * What an idle connection is told at the end. A client that has just sent a request on it learns that nobody has read it, so
 * that it may send it elsewhere, whatever it asks for. https://www.rfc-editor.org/rfc/rfc9110#section-15.5.9
 */
const farewell = "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/** How long a client has to close a connection after the farewell. */
const farewellMs = 500;

export interface OnePortOptions {
  readonly host: string;
  readonly port: number;
  readonly handler: RequestHandler;
  /** How long a connection may take to send a request's head. */
  readonly headerTimeoutMs: number;
  /** With them everything here is behind mutual TLS. */
  readonly certificates: Certificates | undefined;
  readonly log: Logger;
}

/** What is known of a connection. */
interface Connection {
  /** How many HTTP/1.1 requests on it are under way; undefined where it speaks something else, or has not yet said what. */
  running: number | undefined;
  /** It was told farewell: what still arrives on it is not read. */
  left: boolean;
  /** It is from before the certificates changed, and ends with the request on it. */
  outdated: boolean;
}

/** A TCP port that speaks HTTP/1.1 and HTTP/2, with TLS or without: the first bytes of a connection tell which of the two. */
export class OnePort {
  readonly #listener: Server;
  readonly #http1: Http1Server;
  readonly #http2: Http2Server;
  readonly #options: OnePortOptions;
  readonly #connections = new Map<Socket, Connection>();
  /** Connections that have not yet said what they speak. */
  readonly #undecided = new Set<Socket>();
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #unwatch: (() => void) | undefined;
  #closing = false;

  constructor(options: OnePortOptions) {
    this.#options = options;
    const { handler, headerTimeoutMs } = options;
    this.#http1 = createHttp1Server({
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: headerTimeoutMs,
      connectionsCheckingInterval: Math.min(headerTimeoutMs, 5_000),
      // Longer than any client of ours keeps an idle connection, so that it is never the server who closes first.
      keepAliveTimeout: 75_000,
    });
    this.#http1.on("request", (request, response) => {
      const connection = this.#connections.get(request.socket);
      if (connection === undefined || connection.left) return;
      count(connection, 1);
      response.on("close", () => count(connection, -1));
      if (this.#closing || connection.outdated) response.shouldKeepAlive = false;
      handler.http1(request, response);
    });
    // It never listens itself; this starts its check for slow heads.
    this.#http1.emit("listening");
    this.#http2 = createHttp2Server({ settings: { initialWindowSize: 1024 * 1024, maxConcurrentStreams: 1_000 } });
    this.#http2.on("request", handler.http2);
    this.#http2.on("session", (session) => this.#keepSession(session));
    this.#listener = this.#createListener(options);
    this.#unwatch = options.certificates?.onChange(() => this.#renew());
  }

  /** Starts listening. Rejects when the port is taken. */
  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#listener.once("error", reject);
      this.#listener.listen(this.#options.port, this.#options.host, () => {
        this.#listener.off("error", reject);
        this.#listener.on("error", () => undefined);
        resolve();
      });
    });
  }

  get port(): number {
    const address = this.#listener.address();
    return typeof address === "object" && address !== null ? address.port : this.#options.port;
  }

  /** Stops accepting, waits for requests in flight, and cuts what is left after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    this.#unwatch?.();
    // Connections that the system has taken for us and we have not seen yet would be reset.
    await immediate();
    this.#listener.close();
    for (const session of this.#sessions) session.close();
    const quiet = performance.now() + Math.min(lingerMs, graceMs);
    const deadline = performance.now() + graceMs;
    while (this.#connections.size > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(sweepMs, Math.max(0, deadline - performance.now()))));
      // What came while this process stood still has not been read yet.
      await immediate();
      if (performance.now() < quiet) continue;
      for (const [socket, connection] of this.#connections) {
        if (connection.running === 0 || this.#undecided.has(socket)) sayFarewell(socket, connection);
      }
    }
    for (const socket of this.#connections.keys()) socket.destroy();
    this.#http1.close();
    this.#http2.close();
  }

  #createListener({ certificates, headerTimeoutMs, log }: OnePortOptions): Server {
    if (certificates === undefined) return createServer({ noDelay: true }, (socket) => this.#accept(socket));
    return createTlsListener({
      certificates,
      handshakeTimeoutMs: headerTimeoutMs,
      log,
      onSocket: (socket) => this.#keepSocket(socket),
      onPeer: (socket) => this.#accept(socket),
    });
  }

  /** Whoever is connected connects anew, once what is under way has ended. */
  #renew(): void {
    for (const connection of this.#connections.values()) connection.outdated = true;
    for (const session of this.#sessions) session.close();
  }

  #keepSocket(socket: Socket): Connection {
    const connection: Connection = { running: undefined, left: false, outdated: false };
    this.#connections.set(socket, connection);
    socket.on("error", ignore);
    socket.once("close", () => this.#connections.delete(socket));
    return connection;
  }

  #accept(socket: Socket): void {
    const connection = this.#keepSocket(socket);
    this.#undecided.add(socket);
    let start: Buffer = Buffer.alloc(0);
    const giveUp = (): void => {
      socket.destroy();
    };
    const decide = (): void => {
      this.#undecided.delete(socket);
      socket.off("data", read).off("timeout", giveUp).off("close", decide).off("end", giveUp);
      socket.setTimeout(0);
    };
    const read = (chunk: Buffer): void => {
      if (connection.left) return;
      start = start.length === 0 ? chunk : Buffer.concat([start, chunk]);
      const compared = Math.min(start.length, http2Preface.length);
      const matches = start.subarray(0, compared).equals(http2Preface.subarray(0, compared));
      // Held here rather than put back: what is unshifted would be read again at once, for ever.
      if (matches && start.length < http2Preface.length) return;
      decide();
      socket.pause();
      socket.unshift(start);
      if (matches) {
        this.#http2.emit("connection", socket);
        return;
      }
      connection.running = 0;
      this.#http1.emit("connection", socket);
      socket.resume();
    };
    socket.setTimeout(this.#options.headerTimeoutMs);
    socket.on("data", read).on("timeout", giveUp).on("close", decide).on("end", giveUp);
  }

  #keepSession(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.once("close", () => this.#sessions.delete(session));
    session.on("error", ignore);
    session.setTimeout(idleSessionMs, () => session.close());
  }
}

function count(connection: Connection, change: 1 | -1): void {
  if (connection.running !== undefined) connection.running += change;
}

function sayFarewell(socket: Socket, connection: Connection): void {
  if (connection.left || socket.writableEnded) return;
  connection.left = true;
  socket.end(farewell);
  setTimeout(() => socket.destroy(), farewellMs).unref();
}

/** A peer may cut its connection at any moment; the requests on it learn of it by themselves. */
function ignore(): void {}
