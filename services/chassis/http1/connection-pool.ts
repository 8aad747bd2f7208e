import type { LookupFunction } from "node:net";
import { Connection, type ConnectionContext, type ConnectionOwner } from "./connection.ts";
import type { HttpExchange } from "./http-exchange.ts";
import { type HttpProxy, type ProxyFor, type RequestTarget, targetOf } from "./http-proxy.ts";
import type { Origin } from "./open-socket.ts";

/** What the pools of a client have in common. */
export interface PoolContext extends ConnectionContext {
  /** The most connections to one origin. */
  readonly maxConnections: number;
  readonly lookup: LookupFunction | undefined;
  readonly proxyFor: ProxyFor | undefined;
  readonly verifiesCertificates: boolean;
  /** A connection was made. */
  added(connection: Connection): void;
  /** A connection was closed. */
  removed(connection: Connection): void;
}

/** The connections to one origin, and who waits for one: first come, first served. */
export class ConnectionPool implements ConnectionOwner {
  readonly #context: PoolContext;
  readonly #origin: Origin;
  readonly #proxy: HttpProxy | undefined;
  /** What every request begins with. */
  readonly target: RequestTarget;
  readonly #emptied: (pool: ConnectionPool) => void;
  #waiting: HttpExchange[] = [];
  /** The one used last is used first. */
  #idle: Connection[] = [];
  /** Became free since the last turn of the event loop. */
  #freed: Connection[] = [];
  /** Became free one turn earlier. */
  #rested: Connection[] = [];
  #opening: Connection[] = [];
  #size = 0;
  #isArmed = false;
  #isClosing = false;
  #session: Buffer | undefined;

  /** `emptied`: it has no connection any more and nobody waits. */
  constructor(context: PoolContext, origin: Origin, emptied: (pool: ConnectionPool) => void) {
    this.#context = context;
    this.#origin = origin;
    this.#proxy = context.proxyFor?.(origin);
    this.target = targetOf(origin, this.#proxy);
    this.#emptied = emptied;
  }

  send(exchange: HttpExchange): void {
    this.#waiting.push(exchange);
    this.#arm();
  }

  /** Takes an exchange out of the line. */
  readonly leave = (exchange: HttpExchange): void => {
    const at = this.#waiting.indexOf(exchange);
    if (at !== -1) this.#waiting.splice(at, 1);
    this.#checkEmpty();
  };

  /** Closes the connections as soon as nobody waits or is on them. */
  close(): void {
    this.#isClosing = true;
    if (this.#waiting.length === 0) {
      for (const connection of [...this.#opening, ...this.#freed, ...this.#rested, ...this.#idle]) connection.close();
    }
    this.#checkEmpty();
  }

  opened(connection: Connection): void {
    remove(this.#opening, connection);
    const next = this.#waiting.shift();
    if (next !== undefined) connection.send(next);
    else this.freed(connection);
  }

  freed(connection: Connection): void {
    this.#freed.push(connection);
    this.#arm();
  }

  lost(connection: Connection, error: Error | undefined): void {
    this.#size -= 1;
    this.#context.removed(connection);
    if (connection.isIdle) {
      for (const list of [this.#idle, this.#rested, this.#freed]) remove(list, connection);
    } else if (connection.isOpening) {
      remove(this.#opening, connection);
      this.#session = undefined;
      if (error !== undefined) this.#refuse(error);
    }
    if (this.#waiting.length > 0) this.#arm();
    this.#checkEmpty();
  }

  session(session: Buffer): void {
    this.#session = session;
  }

  #arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    setImmediate(this.#turn);
  }

  /**
   * Once in a turn of the event loop, after what has come was read: requests go out on connections that were seen open, and
   * silent, since their last answer. What a server sends behind an answer, or its closing the connection, is not met by the
   * next request that way.
   */
  readonly #turn = (): void => {
    this.#isArmed = false;
    const rested = this.#rested;
    this.#rested = this.#freed;
    this.#freed = [];
    for (const connection of rested) {
      if (connection.hasSent) this.#idle.push(connection);
      else connection.close();
    }
    while (this.#waiting.length > 0) {
      const connection = this.#idle.pop();
      if (connection === undefined) break;
      const exchange = this.#waiting.shift();
      if (exchange !== undefined) connection.send(exchange);
    }
    const missing = this.#waiting.length - this.#opening.length - this.#rested.length;
    const room = this.#context.maxConnections - this.#size;
    for (let count = Math.min(missing, room); count > 0; count -= 1) this.#open();
    if (this.#rested.length > 0) this.#arm();
    if (this.#isClosing) this.close();
  };

  #open(): void {
    const { lookup, verifiesCertificates } = this.#context;
    const target = { origin: this.#origin, proxy: this.#proxy, lookup, verifiesCertificates, session: this.#session };
    try {
      const connection = new Connection(this.#context, this, target);
      this.#size += 1;
      this.#opening.push(connection);
      this.#context.added(connection);
    } catch (error) {
      // What Node.js, or whoever resolves names, refuses at once.
      this.#refuse(error instanceof Error ? error : new Error(String(error)));
      this.#checkEmpty();
    }
  }

  /** A connection could not be opened. Each of those that wait has asked for one: it stands for the first of them. */
  #refuse(error: Error): void {
    if (this.#waiting.length <= this.#opening.length) return;
    const exchange = this.#waiting.shift();
    exchange?.settle();
    exchange?.listener.fail(error);
  }

  #checkEmpty(): void {
    if (this.#size === 0 && this.#waiting.length === 0) this.#emptied(this);
  }
}

function remove(list: Connection[], connection: Connection): void {
  const at = list.indexOf(connection);
  if (at !== -1) list.splice(at, 1);
}
