import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import { errorText, type Logger } from "../log.ts";
import type { Secret } from "../secret.ts";
import type { Certificates } from "../tls/certificates.ts";
import { WireWriter } from "../wire/wire-writer.ts";
import { defaultMaxMessageBytes } from "./connect-wire.ts";
import { Endpoint } from "./endpoint.ts";

/** How long the addresses of a host name are used before they are looked up again. */
const resolveEveryMs = 10_000;
/** Calls that one endpoint may hold, waiting for a connection included. */
const maxInFlight = 8_192;

export interface ChannelOptions {
  /** Base URLs, `http://router:4001` for example. Every address that a host name has is used. */
  readonly addresses: readonly string[];
  /** The mesh token, sent as `authorization: Bearer` with every call. */
  readonly token: Secret | undefined;
  /** Shown to peers with an `https://` address, who must have one of the same authority. Absent: Node.js' own trust. */
  readonly certificates?: Certificates | undefined;
  readonly log: Logger;
  /** Connections to one endpoint; a running call holds one. Default 2,048. */
  readonly maxConnections?: number;
  /** The largest message that is taken. Default 64 MiB. */
  readonly maxMessageBytes?: number;
  /** Looks a host name up; returns its IP addresses. Default: the system's resolver. */
  readonly resolve?: (hostname: string) => Promise<readonly string[]>;
}

/**
 * The way to one peer process, or to all replicas of one: their connections, shared by the clients of every service
 * that they host. A call goes to the endpoint with the fewest calls in flight. One that can't be reached is left alone
 * for 5 s, doubling up to 60 s, unless there is no other.
 */
export class Channel {
  readonly maxMessageBytes: number;
  readonly authorization: string | undefined;
  /** What requests are encoded with. */
  readonly wire = new WireWriter();
  readonly #options: ChannelOptions;
  #endpoints: readonly Endpoint[] = [];
  /** Endpoints that have left the DNS and still finish calls. */
  readonly #retired = new Set<Endpoint>();
  #resolvedAt = Number.NEGATIVE_INFINITY;
  #resolving: Promise<void> | undefined;
  #turn = 0;
  #closed = false;
  readonly #unwatch: (() => void) | undefined;

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.maxMessageBytes = options.maxMessageBytes ?? defaultMaxMessageBytes;
    this.authorization = options.token === undefined ? undefined : `Bearer ${options.token.reveal()}`;
    const urls = options.addresses.map((address) => new URL(address));
    if (urls.every(({ hostname }) => isIP(bare(hostname)) !== 0)) {
      this.#endpoints = urls.map((url) => this.#newEndpoint(url, bare(url.hostname)));
      this.#resolvedAt = Number.POSITIVE_INFINITY;
    }
    this.#unwatch = options.certificates?.onChange(() => {
      for (const endpoint of this.#endpoints) endpoint.renew();
    });
  }

  /**
   * The endpoint for the next call, which counts as in flight from here on; `release` it. Undefined while no host name
   * was resolved yet: wait for `resolved()`. Throws Unavailable when every endpoint is full or the channel is closed.
   */
  acquire(avoid?: Endpoint): Endpoint | undefined {
    if (this.#closed) throw new ConnectError("the connection to the service is closed", Code.Unavailable);
    const now = performance.now();
    if (now - this.#resolvedAt > resolveEveryMs) this.resolved().catch(() => undefined);
    if (this.#endpoints.length === 0) return undefined;
    const chosen = this.#choose(now, avoid);
    if (chosen === undefined) throw new ConnectError("too many calls to the service are in flight", Code.Unavailable);
    chosen.begin(now);
    return chosen;
  }

  /** Whether a call that could not reach this endpoint has another one to go to. */
  hasOther(endpoint: Endpoint): boolean {
    return this.#endpoints.some((other) => other !== endpoint);
  }

  /** Waits until the host names are looked up. Rejects with Unavailable when that fails and no address is known. */
  resolved(): Promise<void> {
    this.#resolving ??= this.#resolve().finally(() => {
      this.#resolving = undefined;
    });
    return this.#resolving;
  }

  /** The endpoint failed the call: no connection, or one that was cut. */
  failed(endpoint: Endpoint, error: Error): void {
    const pauseMs = endpoint.failed(performance.now());
    if (pauseMs === undefined) return;
    this.#options.log.warn("rpc endpoint failed", { endpoint: endpoint.origin, pauseMs, error: errorText(error) });
  }

  /** Cuts every connection. Calls under way fail with Unavailable. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#unwatch?.();
    await Promise.all([...this.#endpoints, ...this.#retired].map((endpoint) => endpoint.destroy()));
  }

  #choose(now: number, avoid: Endpoint | undefined): Endpoint | undefined {
    const { length } = this.#endpoints;
    const start = this.#turn++;
    let best: Endpoint | undefined;
    for (let step = 0; step < length; step++) {
      const candidate = this.#endpoints[(start + step) % length];
      if (candidate === undefined || candidate.inFlight >= maxInFlight) continue;
      if (candidate === avoid && length > 1) continue;
      if (best === undefined || better(candidate, best, now)) best = candidate;
    }
    return best;
  }

  async #resolve(): Promise<void> {
    const resolve = this.#options.resolve ?? systemLookup;
    const known = new Map(this.#endpoints.map((endpoint) => [`${endpoint.origin} ${endpoint.host}`, endpoint]));
    const found = new Map<string, Endpoint>();
    try {
      for (const url of this.#options.addresses.map((address) => new URL(address))) {
        const hostname = bare(url.hostname);
        const ips = isIP(hostname) === 0 ? await resolve(hostname) : [hostname];
        if (ips.length === 0) throw new Error(`${hostname} has no address`);
        for (const ip of ips) {
          const key = `${originOf(url, ip)} ${url.host}`;
          found.set(key, found.get(key) ?? known.get(key) ?? this.#newEndpoint(url, ip));
        }
      }
      if (found.size === 0) throw new Error("no address is configured");
    } catch (error) {
      this.#options.log.warn("rpc address lookup failed", { error: errorText(error) });
      if (this.#endpoints.length === 0) {
        throw new ConnectError("the service has no known address", Code.Unavailable, undefined, undefined, error);
      }
      this.#resolvedAt = performance.now();
      return;
    }
    this.#resolvedAt = performance.now();
    this.#replace([...found.values()]);
  }

  #replace(endpoints: readonly Endpoint[]): void {
    const gone = this.#endpoints.filter((endpoint) => !endpoints.includes(endpoint));
    this.#endpoints = endpoints;
    if (this.#closed) for (const endpoint of endpoints) endpoint.destroy().catch(() => undefined);
    for (const endpoint of gone) {
      this.#retired.add(endpoint);
      const forget = (): boolean => this.#retired.delete(endpoint);
      endpoint.close().then(forget, forget);
    }
  }

  #newEndpoint(url: URL, ip: string): Endpoint {
    const { maxConnections = 2_048, certificates } = this.#options;
    const connect = url.protocol === "https:" ? certificates?.connector(url.hostname) : undefined;
    return new Endpoint({ origin: originOf(url, ip), host: url.host, maxConnections, ...(connect && { connect }) });
  }
}

/** Usable before ejected, then fewer calls in flight; among the ejected, the one that comes back first. */
function better(candidate: Endpoint, best: Endpoint, now: number): boolean {
  const candidateOut = candidate.ejectedUntil > now;
  const bestOut = best.ejectedUntil > now;
  if (candidateOut !== bestOut) return bestOut;
  if (candidateOut) return candidate.ejectedUntil < best.ejectedUntil;
  return candidate.inFlight < best.inFlight;
}

function originOf(url: URL, ip: string): string {
  const port = url.port === "" ? "" : `:${url.port}`;
  return `${url.protocol}//${isIP(ip) === 6 ? `[${ip}]` : ip}${port}`;
}

/** A URL's host name without the brackets of an IPv6 address. */
function bare(hostname: string): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
}

async function systemLookup(hostname: string): Promise<readonly string[]> {
  const found = await lookup(hostname, { all: true });
  return found.map(({ address }) => address);
}
