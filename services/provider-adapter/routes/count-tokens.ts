import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { CountTokensRequest, CountTokensResponseSchema } from "#gen/sluice/inference/v1/request_service_pb.ts";
import { cancellationOf } from "../cancellation.ts";
import { callError, malformedAnswer, withoutCredentials } from "../failure.ts";
import { withMedia } from "../media/with-media.ts";
import type { TokenCount } from "../provider.ts";
import { type AdapterCall, readCall } from "../provider-call.ts";
import type { UpstreamAnswer } from "../upstream.ts";
import type { InferParts } from "./infer.ts";

/** How much of a failed answer is looked at. */
const maxErrorBytes = 64 * 1024;

type Answer = MessageInitShape<typeof CountTokensResponseSchema>;

/** Has the provider count, where it can; else answers with the edge's estimate. */
export function countTokens(parts: InferParts) {
  return async ({ call: request }: CountTokensRequest, { signal }: HandlerContext): Promise<Answer> => {
    if (request?.operation !== Operation.MESSAGES && request?.operation !== Operation.GENERATE_CONTENT) {
      throw gatewayError(Reason.OPERATION_UNSUPPORTED, "tokens are counted of messages and generateContent only");
    }
    const adapterCall = await readCall(parts, request);
    const { provider, call, target, inputTokens } = adapterCall;
    try {
      const count = target.mockResponse === undefined ? await countOf(parts, adapterCall, signal) : undefined;
      if (count === undefined) return { inputTokens: BigInt(inputTokens), estimated: true };
      const counted = await ask(parts, adapterCall, count, signal);
      return { inputTokens: BigInt(counted), estimated: false };
    } catch (error) {
      throw withoutCredentials(callError(provider.id, error, signal, false), call.credential);
    }
  };
}

async function countOf(
  { media }: InferParts,
  { provider, call }: AdapterCall,
  signal: AbortSignal,
): Promise<TokenCount | undefined> {
  return provider.countTokens?.(await withMedia(provider, call, media, { signal }));
}

async function ask(
  { upstream, config, authorizers }: InferParts,
  { provider, call }: AdapterCall,
  count: TokenCount,
  signal: AbortSignal,
): Promise<number> {
  const authorize = provider.authorizer === undefined ? undefined : authorizers[provider.authorizer];
  const request = authorize === undefined ? count.request : await authorize(call, count.request, signal);
  const answer = await upstream.send(request, cancellationOf(signal));
  try {
    const { status, headers } = answer;
    const body = await readWhole(answer, config.maxBodyBytes);
    if (status >= 400) throw upstreamError(provider.classifyError(status, headers, body.subarray(0, maxErrorBytes)));
    if (status >= 300) throw malformedAnswer(provider.id, "it answered with a redirect, which is not followed");
    return count.read(body);
  } finally {
    answer.cancel();
  }
}

/** Reads a body to its end or up to a limit, whichever comes first; a count is a few bytes. */
async function readWhole(answer: UpstreamAnswer, limit: number): Promise<Buffer> {
  const read: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const pieces = await answer.read();
    if (pieces === undefined || bytes > limit) return Buffer.concat(read);
    for (const piece of pieces) {
      read.push(piece);
      bytes += piece.length;
    }
  }
}
