import { isIP } from "node:net";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { mediaType, readBody } from "../answer-body.ts";
import { type Cancellation, cancellationOf } from "../cancellation.ts";
import type { AdapterConfig } from "../config.ts";
import { createUpstream, type Upstream, type UpstreamAnswer } from "../upstream.ts";
import { fits, type MediaFile, type MediaKind, typeOfFile } from "./media-file.ts";
import { checkedLookup, ForbiddenHost, isPublicAddress } from "./public-address.ts";

/** Fetches what clients name by its address, for providers that take bytes alone. */
export interface MediaFetcher {
  /** The largest file, in bytes; 0 where nothing is fetched. */
  readonly maxBytes: number;
  /**
   * The file at an http or https address. Throws INVALID_REQUEST, which names the host and what is wrong; rejects with the
   * signal's reason where the call is aborted.
   */
  fetch(address: string, kind: MediaKind, signal: AbortSignal): Promise<MediaFile>;
  close(): Promise<void>;
}

/** How long a file may take, redirects included. */
const timeoutMs = 30_000;
const silenceMs = 10_000;
const maxRedirects = 5;
const maxAddressLength = 8192;
const maxConnections = 16;
const timeouts = new Set(["HTTP_CONNECT_TIMEOUT", "HTTP_HEAD_TIMEOUT", "HTTP_BODY_TIMEOUT", "ETIMEDOUT"]);
const redirects = new Set([301, 302, 303, 307, 308]);

/** What a file cannot be used for, to be told with its host. */
class MediaProblem extends Error {}

/** `isAllowed`: to which IP addresses it may connect. */
export function createMediaFetcher(
  config: AdapterConfig,
  isAllowed: (address: string) => boolean = config.allowPrivateMediaUrls ? () => true : isPublicAddress,
): MediaFetcher {
  const maxBytes = config.maxMediaBytes;
  // A proxy would resolve the name itself, and lead wherever it can reach: what is looked at here is reached from here.
  const proxyFor = config.allowPrivateMediaUrls ? config.proxyFor : undefined;
  const idleTimeoutMs = Math.min(silenceMs, config.idleTimeoutMs);
  const upstream = createUpstream({ ...config, maxConnections, idleTimeoutMs, proxyFor }, checkedLookup(isAllowed));
  return {
    maxBytes,
    async fetch(address, kind, signal) {
      const url = URL.parse(address);
      const timeout = AbortSignal.timeout(timeoutMs);
      try {
        const answer = await follow(upstream, address, isAllowed, cancellationOf(AbortSignal.any([signal, timeout])));
        return await readFile(answer, kind, maxBytes, address);
      } catch (error) {
        signal.throwIfAborted();
        const why = timeout.aborted ? `it took longer than ${timeoutMs / 1000} seconds` : reasonOf(error);
        const host = url === null ? "an address" : url.host;
        throw gatewayError(Reason.INVALID_REQUEST, `The file at ${host} cannot be used: ${why}.`, { cause: error });
      }
    },
    close: () => upstream.close(),
  };
}

/** The first answer that is no redirect. Every address on the way is looked at as the first one is. */
async function follow(
  upstream: Upstream,
  address: string,
  isAllowed: (address: string) => boolean,
  cancellation: Cancellation,
): Promise<UpstreamAnswer> {
  let url = address;
  for (let hop = 0; hop <= maxRedirects; hop += 1) {
    checkAddress(url, isAllowed);
    const headers = { accept: "*/*", "user-agent": "sluice" };
    const answer = await upstream.send({ method: "GET", url, headers, body: new Uint8Array() }, cancellation);
    if (!redirects.has(answer.status)) return answer;
    answer.cancel();
    const next = URL.parse(answer.headers.location ?? "", url);
    if (next === null) throw new MediaProblem("it is redirected to no address");
    url = next.href;
  }
  throw new MediaProblem(`it is redirected more than ${maxRedirects} times`);
}

/** An address that is an IP address is not resolved: it has to be looked at here. */
function checkAddress(address: string, isAllowed: (address: string) => boolean): void {
  const url = URL.parse(address);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new MediaProblem("its address is none of http or https");
  }
  if (address.length > maxAddressLength) throw new MediaProblem("its address is too long");
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  if (isIP(host) !== 0 && !isAllowed(host)) throw new ForbiddenHost();
}

async function readFile(answer: UpstreamAnswer, kind: MediaKind, limit: number, address: string): Promise<MediaFile> {
  try {
    if (answer.status !== 200) throw new MediaProblem(`its server answered ${answer.status}`);
    const tooLarge = new MediaProblem(`it is larger than ${limit} bytes`);
    if (Number(answer.headers["content-length"] ?? 0) > limit) throw tooLarge;
    const { body, complete } = await readBody(answer, limit);
    if (!complete) throw tooLarge;
    if (body.length === 0) throw new MediaProblem("it is empty");
    const type = typeOfFile(body, mediaType(answer), address);
    if (type === "") throw new MediaProblem("its type is unknown");
    if (!fits(type, kind)) throw new MediaProblem(`it is of type ${type}, which is no ${kind} that a model reads`);
    return { type, bytes: body };
  } finally {
    answer.cancel();
  }
}

/** What may be told of a failure: a name that leads inside and one that leads nowhere are told alike. */
function reasonOf(error: unknown): string {
  if (error instanceof MediaProblem) return error.message;
  const code = error instanceof Error && "code" in error ? error.code : "";
  if (error instanceof ForbiddenHost || code === "ENOTFOUND" || code === "EAI_AGAIN") {
    return "its host has no address on the public internet";
  }
  return timeouts.has(String(code)) ? "its server is silent" : "its server cannot be reached";
}
