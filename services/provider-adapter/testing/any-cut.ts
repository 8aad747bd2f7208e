import assert from "node:assert/strict";
import type { Exchange } from "../provider.ts";
import { SseSplitter } from "../sse.ts";
import { randomNumbers } from "../translate/testing/provider-call.ts";

const rounds = 40;

/**
 * The payloads of a stream of server-sent events, closing ones included, as one text. They have to be the same however the
 * bytes are cut.
 */
export function payloadsOfAnyCut(begin: () => Exchange, body: Uint8Array): string {
  const random = randomNumbers(11);
  const expected = payloadsOf(begin(), [body]);
  for (let round = 0; round < rounds; round += 1) {
    const most = round === 0 ? 1 : 1 + Math.floor(random() * 200);
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < body.length; ) {
      const size = 1 + Math.floor(random() * most);
      pieces.push(body.subarray(at, at + size));
      at += size;
    }
    assert.equal(payloadsOf(begin(), pieces), expected);
  }
  return expected;
}

function payloadsOf(exchange: Exchange, pieces: readonly Uint8Array[]): string {
  const splitter = new SseSplitter();
  const payloads = pieces.flatMap((piece) => {
    const events = splitter.push(piece);
    return events.length === 0 ? [] : (exchange.passEvents?.(events) ?? exchange.decodeEvents(events));
  });
  const rest = splitter.end();
  if (rest !== undefined) payloads.push(...exchange.decodeEvents([rest]));
  return Buffer.concat([...payloads, ...exchange.finish()]).toString();
}
