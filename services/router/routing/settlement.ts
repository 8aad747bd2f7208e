import { create } from "@bufbuild/protobuf";
import { UsageStatus } from "#gen/sluice/accounting/v1/spend_pb.ts";
import type { Chunk, Finished, Started } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { InferRequest } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { type Cost, CostState, type Usage, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { Admission } from "../admission/admission.ts";
import type { RouterRuntime } from "../context.ts";
import type { RouterEvents } from "../events.ts";
import { costOf } from "../prices/price.ts";
import type { Deployment } from "../registry/deployment.ts";

/** Where a call is going. */
export interface Route {
  readonly deployment: Deployment;
  /** The name of the group that the deployment was taken from. */
  readonly groupName: string;
  readonly attemptedRetries: number;
  readonly attemptedFallbacks: number;
}

/** About as many bytes of an answer's JSON as make a token; for estimates of what was never counted. */
const bytesPerToken = 4;
/** What a model may write while nothing of it can be seen: hidden reasoning, or an answer that was to come whole. */
const silentTokensPerSecond = 50;
/** Before that, it reads the prompt. */
const silentGraceMs = 1000;
/** The most that is assumed of a call that has set no limit. */
const maxSilentTokens = 16_384;

/** Ends an admitted call in the journal, once: the first of success, failure, abort or nothing wins. */
export class Settlement {
  readonly #request: InferRequest;
  readonly #admission: Admission;
  readonly #events: RouterEvents;
  readonly #runtime: RouterRuntime;
  readonly #startedAt: number;
  #firstPayloadAt: number | undefined;
  /** What the provider said of usage at the beginning. */
  #told: Usage | undefined;
  #payloads = 0;
  #bytes = 0;
  #done = false;

  constructor(
    request: InferRequest,
    admission: Admission,
    events: RouterEvents,
    runtime: RouterRuntime,
    startedAt: number,
  ) {
    this.#request = request;
    this.#admission = admission;
    this.#events = events;
    this.#runtime = runtime;
    this.#startedAt = startedAt;
  }

  get done(): boolean {
    return this.#done;
  }

  get outputTokenCap(): number | undefined {
    return this.#admission.outputTokenCap;
  }

  /** The answer has begun. */
  begin(started: Started): void {
    this.#firstPayloadAt = this.#runtime.now();
    this.#told = started.usage;
  }

  /** Counts what passes by, for the case that nobody says at the end what was used. */
  count(chunk: Chunk): void {
    this.#payloads += chunk.payloads.length;
    if (!this.#request.stream) for (const payload of chunk.payloads) this.#bytes += payload.length;
  }

  /** Completes `finished` with what the answer costs. Resolves when that is recorded. */
  succeed(route: Route, finished: Finished, now: number): Promise<void> {
    finished.usage ??= this.#estimatedUsage();
    finished.cost = this.#costOf(route, finished.usage, now);
    return this.#settle(route, UsageStatus.SUCCESS, finished.usage, finished.cost, finished.finishReason);
  }

  /**
   * Records an answer that broke off (ABORTED, FAILED), at what the provider may bill for it. Never rejects: it runs where
   * the call is lost already.
   */
  async breakOff(route: Route, status: UsageStatus): Promise<void> {
    if (this.#done) return;
    try {
      const usage = this.#estimatedUsage();
      usage.outputTokens += this.#silentTokens();
      await this.#settle(route, status, usage, this.#costOf(route, usage, this.#runtime.now()), "");
    } catch (error) {
      this.#events.settlementFailed(this.#request.callId, error);
    }
  }

  /** The call cost nothing. Never throws, for the same reason. */
  void(): void {
    if (this.#done) return;
    this.#done = true;
    try {
      this.#admission.void();
    } catch (error) {
      this.#events.settlementFailed(this.#request.callId, error);
    }
  }

  #costOf({ deployment }: Route, usage: Usage, now: number): Cost {
    const cost = costOf(usage, deployment.price(now));
    if (cost.state === CostState.UNPRICED) this.#events.unpriced(deployment);
    return cost;
  }

  #settle(route: Route, status: UsageStatus, usage: Usage, cost: Cost, finishReason: string): Promise<void> {
    const { deployment } = route;
    this.#events.callEnded(deployment, status);
    this.#done = true;
    return this.#admission.settle({
      status,
      modelGroup: route.groupName,
      deployment: deployment.id,
      provider: deployment.provider,
      upstreamModel: deployment.target.model,
      usage,
      cost,
      finishReason,
      firstPayloadAt: this.#firstPayloadAt,
      attemptedRetries: route.attemptedRetries,
      attemptedFallbacks: route.attemptedFallbacks,
    });
  }

  #estimatedUsage(): Usage {
    const output = BigInt(this.#request.stream ? this.#payloads : Math.ceil(this.#bytes / bytesPerToken));
    const known = this.#told ?? { inputTokens: BigInt(this.#request.shape?.inputTokens ?? 0), outputTokens: 0n };
    const outputTokens = output > known.outputTokens ? output : known.outputTokens;
    return create(UsageSchema, { ...known, outputTokens, estimated: true });
  }

  /**
   * What was probably written before anything could be seen. A client that always hangs up would else pay for its prompts
   * alone, while the provider bills what it had written.
   */
  #silentTokens(): bigint {
    const silentMs = (this.#firstPayloadAt ?? this.#runtime.now()) - this.#startedAt - silentGraceMs;
    const limit = this.#request.shape?.maxOutputTokens ?? maxSilentTokens;
    return BigInt(Math.min(limit, Math.max(0, Math.ceil((silentMs / 1000) * silentTokensPerSecond))));
  }
}
