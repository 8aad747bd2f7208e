import type { LookupFunction } from "node:net";
import { HttpClient } from "#chassis/http1/http-client.ts";
import type { ExchangeListener, HttpExchange } from "#chassis/http1/http-exchange.ts";
import type { HttpRequest } from "#chassis/http1/request-head.ts";
import type { Cancellation } from "./cancellation.ts";
import type { AdapterConfig } from "./config.ts";
import { decodeAnswer } from "./content-decoding.ts";
import type { UpstreamRequest } from "./provider.ts";

/** A provider's answer, its head received. */
export interface UpstreamAnswer {
  readonly status: number;
  /** Lower-case names; several values of one name joined by commas. */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Waits for the next pieces of the body and returns all there are by then; undefined at its end. Rejects with what went
   * wrong underneath, or with the reason of the cancellation. One read at a time.
   */
  read(): Promise<Uint8Array[] | undefined>;
  /**
   * What `read` would give up to the end, where all of it is there and has `limit` bytes at most; else undefined. Absent
   * where that cannot be told.
   */
  readRest?(limit: number): Uint8Array[] | undefined;
  /**
   * All that matters was read. The connection goes to the next call if the body ends within a moment, else it is cut.
   */
  release(): void;
  /** Cuts the connection at once, unless the answer is complete or was released. */
  cancel(): void;
}

/** The way to the providers. */
export interface Upstream {
  /** Sends a request; resolves with the head of the answer, whatever its status. Redirects are not followed. */
  send(request: UpstreamRequest, cancellation: Cancellation): Promise<UpstreamAnswer>;
  /** Takes no more requests, waits for those in flight and closes the connections. */
  close(): Promise<void>;
}

/** The address is none that a call could be sent to. */
export class AddressProblem extends Error {
  override readonly name = "AddressProblem";
}

/** Unread bytes at which the provider is made to wait. */
const highWaterBytes = 256 * 1024;
/** Addresses kept in memory. */
const maxAddresses = 1000;
/** How long the rest of a body may take that nobody reads, so that its connection can be used again. */
const lingerMs = 1000;

/** Kept connections to every provider, one call on each at a time. `lookup`: how host names are resolved. */
export function createUpstream(config: AdapterConfig, lookup?: LookupFunction): Upstream {
  const client = new HttpClient({
    maxConnections: config.maxConnections,
    connectTimeoutMs: config.connectTimeoutMs,
    headTimeoutMs: config.idleTimeoutMs,
    bodyTimeoutMs: config.idleTimeoutMs,
    keepAliveMs: 30_000,
    maxHeadBytes: 64 * 1024,
    lookup,
    proxyFor: config.proxyFor,
    verifiesCertificates: config.verifiesCertificates,
  });
  const addresses = new Map<string, Address>();
  return {
    send(request, cancellation) {
      if (cancellation.aborted) return Promise.reject(cancellation.reason);
      const call = new UpstreamCall(cancellation);
      try {
        const { origin, path } = addresses.get(request.url) ?? remember(addresses, request.url);
        const { method } = request;
        const headers = { ...request.headers, "accept-encoding": "identity" };
        call.send(client, { origin, path, method, headers, body: method === "GET" ? undefined : request.body });
      } catch (error) {
        return Promise.reject(error);
      }
      return call.answered;
    },
    close: () => client.close(),
  };
}

interface Address {
  readonly origin: string;
  readonly path: string;
}

/** Reads an address and keeps it: there are few, and every call has one. */
function remember(addresses: Map<string, Address>, text: string): Address {
  const { origin, pathname, search } = parseAddress(text);
  const address = { origin, path: `${pathname}${search}` };
  if (addresses.size >= maxAddresses) addresses.clear();
  addresses.set(text, address);
  return address;
}

function parseAddress(text: string): URL {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new AddressProblem("the provider's address is no http or https URL");
  }
  return url;
}

/** One request in flight: what the client tells, handed on as it is asked for. */
class UpstreamCall implements ExchangeListener, UpstreamAnswer {
  status = 0;
  headers: Readonly<Record<string, string>> = {};
  readonly answered: Promise<UpstreamAnswer>;
  readonly #cancellation: Cancellation;
  readonly #resolveHead: (answer: UpstreamAnswer | Promise<UpstreamAnswer>) => void;
  readonly #rejectHead: (error: unknown) => void;
  #exchange: HttpExchange | undefined;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #wake: (() => void) | undefined;
  #ended = false;
  #released = false;
  #failure: { readonly error: unknown } | undefined;
  #linger: NodeJS.Timeout | undefined;

  constructor(cancellation: Cancellation) {
    const { promise, resolve, reject } = Promise.withResolvers<UpstreamAnswer>();
    this.answered = promise;
    this.#resolveHead = resolve;
    this.#rejectHead = reject;
    this.#cancellation = cancellation;
  }

  /** Throws where the request is none that can be sent. */
  send(client: HttpClient, request: HttpRequest): void {
    this.#exchange = client.send(request, this);
    this.#cancellation.onAbort(this.#onAbort);
  }

  async read(): Promise<Uint8Array[] | undefined> {
    if (this.#pieces.length === 0 && !this.#ended && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    // What came before a failure is read first.
    if (this.#pieces.length > 0) {
      const pieces = this.#pieces;
      this.#pieces = [];
      this.#bytes = 0;
      this.#exchange?.resume();
      return pieces;
    }
    if (this.#failure !== undefined) throw this.#failure.error;
    return undefined;
  }

  readRest(limit: number): Uint8Array[] | undefined {
    if (!this.#ended || this.#failure !== undefined || this.#bytes > limit) return undefined;
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces;
  }

  release(): void {
    if (this.#released) return;
    this.#leave();
    if (this.#ended || this.#failure !== undefined) return;
    this.#linger = setTimeout(() => this.#exchange?.abort(), lingerMs);
    this.#linger.unref();
    this.#exchange?.resume();
  }

  cancel(): void {
    if (this.#released || this.#ended || this.#failure !== undefined) return;
    this.#leave();
    this.#exchange?.abort();
  }

  head(status: number, headers: Readonly<Record<string, string>>): void {
    this.status = status;
    this.headers = headers;
    // Nearly every answer is as it was asked for, and needs no decoder.
    const isPacked = headers["content-encoding"] !== undefined;
    this.#resolveHead(isPacked ? Promise.resolve(this).then(decodeAnswer) : this);
  }

  data(piece: Uint8Array): void {
    if (this.#released) return;
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes >= highWaterBytes) this.#exchange?.pause();
    this.#notify();
  }

  end(): void {
    this.#ended = true;
    this.#finish();
  }

  fail(error: unknown): void {
    this.#failure = { error };
    this.#rejectHead(error);
    this.#finish();
  }

  readonly #onAbort = (): void => {
    this.#pieces = [];
    this.#exchange?.abort();
    this.fail(this.#cancellation.reason);
  };

  /** What still comes is for nobody. */
  #leave(): void {
    this.#released = true;
    this.#pieces = [];
    this.#cancellation.onAbort(undefined);
  }

  #finish(): void {
    clearTimeout(this.#linger);
    this.#cancellation.onAbort(undefined);
    this.#notify();
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
