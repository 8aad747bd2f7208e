import type { LookupFunction } from "node:net";
import { Agent, type Dispatcher } from "undici";
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

/** Keep-alive connections to every provider, one call on each at a time. `lookup`: how host names are resolved. */
export function createUpstream(config: AdapterConfig, lookup?: LookupFunction): Upstream {
  const agent = new Agent({
    connections: config.maxConnections,
    pipelining: 1,
    keepAliveTimeout: 30_000,
    headersTimeout: config.idleTimeoutMs,
    bodyTimeout: config.idleTimeoutMs,
    maxHeaderSize: 64 * 1024,
    connect: { timeout: config.connectTimeoutMs, ...(lookup === undefined ? {} : { lookup }) },
  });
  const addresses = new Map<string, Address>();
  return {
    send(request, cancellation) {
      if (cancellation.aborted) return Promise.reject(cancellation.reason);
      let address = addresses.get(request.url);
      try {
        address ??= remember(addresses, request.url);
      } catch (error) {
        return Promise.reject(error);
      }
      const call = new UpstreamCall(cancellation);
      const options = {
        origin: address.origin,
        path: address.path,
        method: request.method,
        headers: headerList(request.headers),
        body: request.method === "GET" ? null : request.body,
      };
      agent.dispatch(options, call);
      return call.head;
    },
    close: () => agent.close(),
  };
}

/** Names and values in turn, which undici takes without looking names up. */
function headerList(headers: Readonly<Record<string, string>>): string[] {
  const list: string[] = [];
  for (const name in headers) if (name !== "accept-encoding") list.push(name, headers[name] ?? "");
  list.push("accept-encoding", "identity");
  return list;
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

/** One request in flight: what undici tells, handed on as it is asked for. */
class UpstreamCall implements Dispatcher.DispatchHandler, UpstreamAnswer {
  status = 0;
  headers: Readonly<Record<string, string>> = {};
  readonly head: Promise<UpstreamAnswer>;
  readonly #cancellation: Cancellation;
  readonly #resolveHead: (answer: UpstreamAnswer | Promise<UpstreamAnswer>) => void;
  readonly #rejectHead: (error: unknown) => void;
  #controller: Dispatcher.DispatchController | undefined;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #wake: (() => void) | undefined;
  #ended = false;
  #released = false;
  #failure: { readonly error: unknown } | undefined;
  #linger: NodeJS.Timeout | undefined;

  constructor(cancellation: Cancellation) {
    const { promise, resolve, reject } = Promise.withResolvers<UpstreamAnswer>();
    this.head = promise;
    this.#resolveHead = resolve;
    this.#rejectHead = reject;
    this.#cancellation = cancellation;
    cancellation.onAbort(this.#onAbort);
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
      if (this.#controller?.paused) this.#controller.resume();
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
    this.#released = true;
    this.#pieces = [];
    this.#cancellation.onAbort(undefined);
    if (this.#ended || this.#failure !== undefined) return;
    this.#linger = setTimeout(() => this.#controller?.abort(new Error("nobody reads the answer")), lingerMs);
    this.#linger.unref();
    if (this.#controller?.paused) this.#controller.resume();
  }

  cancel(): void {
    if (this.#released || this.#ended || this.#failure !== undefined) return;
    this.#released = true;
    this.#pieces = [];
    this.#cancellation.onAbort(undefined);
    this.#controller?.abort(new Error("nobody reads the answer"));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#cancellation.aborted) controller.abort(abortError(this.#cancellation));
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: NodeJS.Dict<string | string[]>): void {
    // A 1xx head is no answer; the real one follows.
    if (status < 200) return;
    this.status = status;
    this.headers = areSingle(headers) ? headers : joined(headers);
    // Nearly every answer is as it was asked for, and needs no decoder.
    const isPacked = headers["content-encoding"] !== undefined;
    this.#resolveHead(isPacked ? Promise.resolve(this).then(decodeAnswer) : this);
  }

  onResponseData(controller: Dispatcher.DispatchController, piece: Buffer): void {
    if (this.#released) return;
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes >= highWaterBytes) controller.pause();
    this.#notify();
  }

  onResponseEnd(): void {
    this.#ended = true;
    this.#finish();
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#fail(error);
  }

  readonly #onAbort = (): void => {
    this.#pieces = [];
    this.#controller?.abort(abortError(this.#cancellation));
    this.#fail(this.#cancellation.reason);
  };

  #fail(error: unknown): void {
    if (this.#failure !== undefined || this.#ended) return;
    this.#failure = { error };
    this.#rejectHead(error);
    this.#finish();
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

/** Nearly every answer has one value for each name, and needs no copy. */
function areSingle(headers: NodeJS.Dict<string | string[]>): headers is Record<string, string> {
  for (const name in headers) if (typeof headers[name] !== "string") return false;
  return true;
}

function joined(headers: NodeJS.Dict<string | string[]>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value = ""]) => [name, [value].flat().join(", ")]));
}

function abortError({ reason }: Cancellation): Error {
  return reason instanceof Error ? reason : new Error("aborted");
}
