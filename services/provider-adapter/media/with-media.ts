import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Provider, ProviderCall } from "../provider.ts";
import { decodeText, parseObject } from "../translate/json-reading.ts";
import type { MediaFetcher } from "./media-fetcher.ts";
import type { MediaFile } from "./media-file.ts";
import { type MediaPlace, mediaPlaces } from "./media-places.ts";

/** How many addresses one call may name. */
const maxFiles = 20;
/** How many files of the largest size one call may have together. */
const maxFullFiles = 3;
const maxAtOnce = 4;

/**
 * The call as its provider takes it: where that wants bytes in place of web addresses, the files are fetched and put into
 * the body. The call itself where there is nothing to fetch, or nothing may be. Nothing is kept beyond the call.
 */
export function withMedia(
  provider: Provider,
  call: ProviderCall,
  fetcher: MediaFetcher,
  context: { readonly signal: AbortSignal },
): ProviderCall | Promise<ProviderCall> {
  if (provider.needsBytes === undefined || fetcher.maxBytes === 0 || !mayNameAddress(call.body)) return call;
  const request = parseObject(decodeText(call.body));
  if (request === undefined) return call;
  const places = mediaPlaces(request).filter(({ address }) => {
    const url = URL.parse(address);
    return url !== null && provider.needsBytes?.(call, url) === true;
  });
  if (places.length === 0) return call;
  return fill(places, fetcher, context.signal).then(() => ({ ...call, body: Buffer.from(JSON.stringify(request)) }));
}

/** A look at the bytes spares nearly every call the parse. */
function mayNameAddress(body: Uint8Array): boolean {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).includes('"http');
}

async function fill(places: readonly MediaPlace[], fetcher: MediaFetcher, signal: AbortSignal): Promise<void> {
  const wanted = new Map<string, MediaPlace[]>();
  for (const place of places) {
    const id = `${place.kind} ${place.address}`;
    wanted.set(id, [...(wanted.get(id) ?? []), place]);
  }
  if (wanted.size > maxFiles) throw tooMuch(`A request may name ${maxFiles} files by their addresses.`);
  const stop = new AbortController();
  const until = AbortSignal.any([signal, stop.signal]);
  const queue = wanted.values();
  let bytes = 0;
  const work = async (): Promise<void> => {
    for (const [first, ...others] of queue) {
      if (first === undefined) continue;
      const file: MediaFile = await fetcher.fetch(first.address, first.kind, until);
      bytes += file.bytes.length;
      if (bytes > maxFullFiles * fetcher.maxBytes) {
        throw tooMuch(
          `The files that a request names are larger than ${maxFullFiles * fetcher.maxBytes} bytes together.`,
        );
      }
      for (const place of [first, ...others]) place.fill(file);
    }
  };
  try {
    await Promise.all(Array.from({ length: maxAtOnce }, work));
  } catch (error) {
    stop.abort(error);
    throw error;
  }
}

function tooMuch(message: string): Error {
  return gatewayError(Reason.INVALID_REQUEST, message);
}
