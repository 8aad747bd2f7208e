import type { LookupFunction } from "node:net";
import { Slots } from "../slots.ts";
import { HeadReader } from "./answer-head.ts";
import type { Connection } from "./connection.ts";
import { ConnectionPool, type PoolContext } from "./connection-pool.ts";
import { HttpError } from "./http-error.ts";
import { type ExchangeListener, HttpExchange } from "./http-exchange.ts";
import type { ProxyFor } from "./http-proxy.ts";
import { readOrigin } from "./open-socket.ts";
import { HeadWriter, type HttpRequest } from "./request-head.ts";

export interface HttpClientOptions {
  /** The most connections to one origin; further requests wait for one. */
  readonly maxConnections: number;
  /** How long a connection may take, in milliseconds; 0: as long as it likes, as with the others. */
  readonly connectTimeoutMs: number;
  /** How long a server may be silent before the head of its answer. */
  readonly headTimeoutMs: number;
  /** How long it may be silent within the body. The times in which it was made to wait do not count. */
  readonly bodyTimeoutMs: number;
  /** For how long an unused connection is kept; for less where its server says so. */
  readonly keepAliveMs: number;
  readonly maxHeadBytes: number;
  /** How host names are resolved; Node's own way if absent. */
  readonly lookup?: LookupFunction | undefined;
  /** Which proxy requests leave through; none if absent. It is asked once for the connections to an origin. */
  readonly proxyFor?: ProxyFor | undefined;
  /** Whether servers and proxies have to prove their names; true if absent. */
  readonly verifiesCertificates?: boolean;
}

/** How exact times are kept: to the longest of these, or a quarter of the shortest time. */
const longestTickMs = 1000;
const shortestTickMs = 5;

/** HTTP/1.1 over connections that are kept: one request on each at a time, nothing sent twice, nothing followed. */
export class HttpClient {
  readonly #context: PoolContext;
  readonly #clock: { tick: number; readonly tickMs: number };
  readonly #connections = new Slots<Connection>();
  readonly #pools = new Map<string, ConnectionPool>();
  readonly #heads = new HeadWriter();
  #timer: NodeJS.Timeout | undefined;
  #closed: PromiseWithResolvers<void> | undefined;

  constructor(options: HttpClientOptions) {
    const { connectTimeoutMs, headTimeoutMs, bodyTimeoutMs, keepAliveMs } = options;
    const times = [connectTimeoutMs, headTimeoutMs, bodyTimeoutMs, keepAliveMs].filter((ms) => ms > 0);
    const tickMs = Math.max(shortestTickMs, Math.min(longestTickMs, Math.floor(Math.min(...times) / 4)));
    const ticks = (ms: number) => (ms === 0 ? Number.POSITIVE_INFINITY : Math.ceil(ms / tickMs));
    this.#clock = { tick: 0, tickMs };
    this.#context = {
      clock: this.#clock,
      limits: {
        connect: ticks(connectTimeoutMs),
        head: ticks(headTimeoutMs),
        body: ticks(bodyTimeoutMs),
        idle: ticks(keepAliveMs),
      },
      heads: new HeadReader(),
      maxHeadBytes: options.maxHeadBytes,
      maxConnections: options.maxConnections,
      lookup: options.lookup,
      proxyFor: options.proxyFor,
      verifiesCertificates: options.verifiesCertificates ?? true,
      added: (connection) => this.#add(connection),
      removed: (connection) => this.#remove(connection),
    };
  }

  /** Sends a request. Throws an `HttpError` where it cannot be sent; all else the listener hears, and not before it returns. */
  send(request: HttpRequest, listener: ExchangeListener): HttpExchange {
    if (this.#closed !== undefined) throw new HttpError("HTTP_CLOSED", "the client is closed");
    const known = this.#pools.get(request.origin);
    const pool = known ?? this.#newPool(request.origin);
    const head = this.#heads.write(request, pool.target);
    // Only now: a pool is forgotten with the last of its connections or of those that wait.
    if (known === undefined) this.#pools.set(request.origin, pool);
    const exchange = new HttpExchange(request.method, head, request.body, listener, pool.leave);
    pool.send(exchange);
    return exchange;
  }

  /** Takes no more requests; resolves when those there are have their answers and every connection is closed. */
  close(): Promise<void> {
    this.#closed ??= Promise.withResolvers();
    for (const pool of [...this.#pools.values()]) pool.close();
    this.#checkClosed();
    return this.#closed.promise;
  }

  #newPool(origin: string): ConnectionPool {
    const pool = new ConnectionPool(this.#context, readOrigin(origin), () => {
      if (this.#pools.get(origin) === pool) this.#pools.delete(origin);
      this.#checkClosed();
    });
    return pool;
  }

  #checkClosed(): void {
    if (this.#pools.size === 0) this.#closed?.resolve();
  }

  #add(connection: Connection): void {
    this.#connections.add(connection);
    this.#timer ??= setInterval(() => this.#onTick(), this.#clock.tickMs).unref();
  }

  #remove(connection: Connection): void {
    this.#connections.delete(connection);
    if (this.#connections.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #onTick(): void {
    this.#clock.tick += 1;
    // A copy: those whose time is over leave.
    for (const connection of [...this.#connections]) connection.onTick();
  }
}
