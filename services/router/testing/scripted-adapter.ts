import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { upstreamError } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { InferenceService, InferRequest } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";

/** What the fake adapter does with one attempt. */
export type Step =
  | {
      readonly kind: "answer";
      readonly payloads: readonly string[];
      readonly output: number;
      readonly pauseMs?: number;
    }
  | { readonly kind: "fail"; readonly error: () => Error; readonly afterPayloads?: number }
  | { readonly kind: "hang"; readonly afterPayloads?: number; readonly told?: MessageInitShape<typeof UsageSchema> }
  | { readonly kind: "cut" };

export const answer = (output = 10, payloads: readonly string[] = ["a", "b", "[DONE]"]): Step => ({
  kind: "answer",
  payloads,
  output,
});

const statuses: Readonly<Record<number, readonly [UpstreamErrorKind, boolean]>> = {
  400: [UpstreamErrorKind.BAD_REQUEST, false],
  401: [UpstreamErrorKind.AUTHENTICATION, false],
  403: [UpstreamErrorKind.PERMISSION_DENIED, false],
  404: [UpstreamErrorKind.NOT_FOUND, false],
  408: [UpstreamErrorKind.TIMEOUT, true],
  413: [UpstreamErrorKind.CONTEXT_WINDOW, false],
  422: [UpstreamErrorKind.CONTENT_POLICY, false],
  429: [UpstreamErrorKind.RATE_LIMITED, true],
  500: [UpstreamErrorKind.INTERNAL, true],
  503: [UpstreamErrorKind.UNAVAILABLE, true],
};

export function fail(httpStatus: number, retryAfterMs?: number, afterPayloads?: number): Step {
  const [kind, retryable] = statuses[httpStatus] ?? [UpstreamErrorKind.INTERNAL, true];
  const error = () =>
    upstreamError({ kind, httpStatus, provider: "openai", retryable, message: `status ${httpStatus}`, retryAfterMs });
  return { kind: "fail", error, afterPayloads };
}

export interface ScriptedAdapter {
  readonly implementation: ServiceImpl<typeof InferenceService>;
  /** Every request that came, in order. */
  readonly requests: InferRequest[];
  /** The requests whose signal was aborted. */
  readonly aborted: InferRequest[];
}

/** An adapter that does what the script of the model says, step by step; the last step is repeated. */
export function createScriptedAdapter(script: Readonly<Record<string, readonly Step[]>>): ScriptedAdapter {
  const requests: InferRequest[] = [];
  const aborted: InferRequest[] = [];
  const used = new Map<string, number>();
  const nextStep = (request: InferRequest): Step => {
    const model = request.target?.model ?? "";
    const steps = script[model] ?? [answer()];
    const at = used.get(model) ?? 0;
    used.set(model, at + 1);
    return steps[Math.min(at, steps.length - 1)] ?? answer();
  };
  return {
    requests,
    aborted,
    implementation: {
      async *infer(request, { signal }) {
        requests.push(request);
        const step = nextStep(request);
        const before = step.kind === "answer" || step.kind === "cut" ? 0 : (step.afterPayloads ?? 0);
        if (before > 0) yield* opening(before, step.kind === "hang" ? step.told : undefined);
        if (step.kind === "fail") throw step.error();
        if (step.kind === "hang") {
          await untilAborted(signal);
          aborted.push(request);
          throw new Error("aborted");
        }
        if (step.kind === "cut") return yield { event: { case: "started", value: { status: 200 } } };
        if (step.pauseMs !== undefined) await new Promise((resolve) => setTimeout(resolve, step.pauseMs));
        yield { event: { case: "started", value: { status: 200, contentType: "text/event-stream" } } };
        for (const [at, text] of step.payloads.entries()) yield chunk(text, at === step.payloads.length - 1);
        const usage = { inputTokens: 100n, outputTokens: BigInt(step.output) };
        yield { event: { case: "finished", value: { usage, finishReason: "stop" } } };
      },
    },
  };
}

function* opening(payloads: number, usage?: MessageInitShape<typeof UsageSchema>) {
  yield { event: { case: "started" as const, value: { status: 200, ...(usage && { usage }) } } };
  for (let at = 0; at < payloads; at++) yield chunk("x", false);
}

function chunk(text: string, last: boolean) {
  return { event: { case: "chunk" as const, value: { payloads: [new TextEncoder().encode(text)], last } } };
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
