import { type buildConnector, Pool } from "undici";

const firstEjectionMs = 5_000;
const longestEjectionMs = 60_000;
/** How long one call has to prove that an ejected endpoint works again, before the next one may try. */
const probeMs = 1_000;

export interface EndpointOptions {
  /** `http://10.0.0.1:4000`: where to connect. */
  readonly origin: string;
  /** The `host` header, and the name that TLS expects: the address as it was configured. */
  readonly host: string;
  readonly maxConnections: number;
  /** Opens a connection; the library's own way if absent. */
  readonly connect?: buildConnector.connector;
}

/** One address that answers RPCs: its connections, how busy it is, and whether it can be trusted at the moment. */
export class Endpoint {
  readonly origin: string;
  readonly host: string;
  inFlight = 0;
  readonly #options: EndpointOptions;
  #pool: Pool;
  /** Connections that get no new calls and still finish those under way. */
  readonly #retired = new Set<Pool>();
  #failures = 0;
  #ejectedUntil = 0;

  constructor(options: EndpointOptions) {
    this.origin = options.origin;
    this.host = options.host;
    this.#options = options;
    this.#pool = newPool(options);
  }

  /** Where calls are sent. */
  get pool(): Pool {
    return this.#pool;
  }

  /**
   * The server, which stops or has other certificates, closes a connection of the pool. It will close the others: better
   * that we do, who know whether a call is about to be sent on one.
   */
  leave(pool: Pool): void {
    if (pool === this.#pool) this.renew();
  }

  /** New calls get new connections. Those under way end on the ones that they have. */
  renew(): void {
    const old = this.#pool;
    this.#pool = newPool(this.#options);
    this.#retired.add(old);
    const forget = (): boolean => this.#retired.delete(old);
    old.close().then(forget, forget);
  }

  /** Resolves when the calls under way have ended; there may be no new ones. */
  async close(): Promise<void> {
    await Promise.all([this.#pool, ...this.#retired].map((pool) => pool.close()));
  }

  /** Cuts every connection. */
  async destroy(): Promise<void> {
    await Promise.all([this.#pool, ...this.#retired].map((pool) => pool.destroy()));
  }

  /** When it may be used; a time in the past means now. */
  get ejectedUntil(): number {
    return this.#ejectedUntil;
  }

  /** A call goes there. If it was ejected and its time is over, this call alone tries it. */
  begin(now: number): void {
    this.inFlight++;
    if (this.#failures > 0) this.#ejectedUntil = Math.max(this.#ejectedUntil, now + probeMs);
  }

  /** It has answered, well or badly. */
  succeeded(): void {
    this.#failures = 0;
    this.#ejectedUntil = 0;
  }

  /**
   * It could not be reached, or cut the connection. Returns for how long it is left alone, in milliseconds; undefined
   * where it is already: calls that were under way together fail together and count as one failure.
   */
  failed(now: number): number | undefined {
    if (this.#failures > 0 && now < this.#ejectedUntil - probeMs) return undefined;
    const pause = Math.min(firstEjectionMs * 2 ** this.#failures, longestEjectionMs);
    this.#failures++;
    this.#ejectedUntil = now + pause;
    return pause;
  }
}

function newPool({ origin, maxConnections, connect }: EndpointOptions): Pool {
  return new Pool(origin, {
    connections: maxConnections,
    pipelining: 1,
    allowH2: false,
    connectTimeout: 3_000,
    keepAliveTimeout: 30_000,
    // A call's own deadline and cancellation bound it; a stream may rightly be silent for minutes.
    headersTimeout: 0,
    bodyTimeout: 0,
    ...(connect === undefined ? {} : { connect }),
  });
}
