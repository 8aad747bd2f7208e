import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { UsageStatus } from "#gen/sluice/accounting/v1/spend_pb.ts";
import type { Finished, Target } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { InferenceService, InferRequest, InferResponse } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { Admission, Admitter, Cancellable } from "../admission/admission.ts";
import type { RouterRuntime } from "../context.ts";
import type { RouterEvents } from "../events.ts";
import { callerAllows } from "../model-rights.ts";
import type { ProviderNames } from "../provider-table.ts";
import type { Deployment } from "../registry/deployment.ts";
import type { ModelGroup, Registry } from "../registry/registry.ts";
import type { RouterSettings } from "../router-config.ts";
import { Attempt, type AttemptLimits, attemptLimits } from "./attempt.ts";
import { chooseDeployment, hasOther, hasUsable } from "./choose-deployment.ts";
import { recordFailure, recordSuccess } from "./cooldowns.ts";
import { outputCap } from "./estimate.ts";
import { type Failure, readFailure, unavailable } from "./failure.ts";
import { createFallbackQueue, type FallbackLookup, type FallbackQueue } from "./fallback-plan.ts";
import type { PlannedCall } from "./plan-call.ts";
import { isWorthRetry, retriesAllowed, retryDelayMs } from "./retry-policy.ts";
import { type Route, Settlement } from "./settlement.ts";

/** What all calls of a router share. */
export interface RouterCore {
  readonly settings: RouterSettings;
  readonly registry: Registry;
  readonly names: ProviderNames;
  readonly fallbacks: FallbackLookup;
  readonly inference: Client<typeof InferenceService>;
  readonly admitter: Admitter;
  readonly events: RouterEvents;
  readonly runtime: RouterRuntime;
}

/** An attempt that is under way. From here on the provider may bill for the call. */
interface Running extends Route {
  readonly attempt: Attempt;
  readonly group: ModelGroup;
}

/**
 * One admitted call: its attempts, retries and fallbacks up to the first payload, then its events, and in every case
 * exactly one settlement. `close` ends it at once, also while an event is waited for.
 */
export class ModelCall {
  readonly #core: RouterCore;
  readonly #request: InferRequest;
  readonly #primary: ModelGroup;
  readonly #settlement: Settlement;
  readonly #context: Cancellable;
  readonly #startedAt: number;
  readonly #deadline: number | undefined;
  #running: Running | undefined;
  /** The last attempt that the client's own time limit ended: its provider may bill for it. */
  #cut: Route | undefined;
  #retries = 0;
  #fallbacks = 0;

  constructor(core: RouterCore, { request, group }: PlannedCall, admission: Admission, context: Cancellable) {
    this.#core = core;
    this.#request = request;
    this.#primary = group;
    this.#startedAt = core.runtime.now();
    this.#settlement = new Settlement(request, admission, core.events, core.runtime, this.#startedAt);
    this.#context = context;
    const timeout = positiveMs(request.options?.timeout);
    this.#deadline = timeout === undefined ? undefined : this.#startedAt + timeout;
  }

  /** Tries deployments and groups until one answers; returns its Started. Throws the last failure. */
  async open(): Promise<InferResponse> {
    let queue: FallbackQueue | undefined;
    let group = this.#primary;
    let tried: Deployment[] = [];
    let failure: Failure | undefined;
    for (let now = this.#startedAt; ; now = this.#core.runtime.now()) {
      const deployment = this.#choose(group, tried, now);
      if (deployment !== undefined) {
        const running = this.#attempt(group, deployment, tried.length, now);
        try {
          return this.#begin(running, await running.attempt.advance());
        } catch (thrown) {
          failure = this.#notBegun(running, thrown);
        }
        if (await this.#mayRetry(group, deployment, tried.length, failure)) {
          tried.push(deployment);
          continue;
        }
      }
      queue ??= this.#fallbackQueue();
      group = await this.#fallBack(queue, group, failure ?? unavailable(group, now));
      tried = [];
      failure = undefined;
    }
  }

  /** Asks for the next Chunk or Finished. What comes is for `take`; what `take` or this throws is for `failed`. */
  advance(): IteratorResult<InferResponse> | Promise<IteratorResult<InferResponse>> {
    return this.#live().attempt.advance();
  }

  /** The next event, if it is there already. */
  ready(): IteratorResult<InferResponse> | undefined {
    return this.#live().attempt.ready();
  }

  /** The event that came. */
  take(result: IteratorResult<InferResponse>): InferResponse {
    const response = this.#live().attempt.take(result);
    if (response.event.case === "chunk") this.#settlement.count(response.event.value);
    return response;
  }

  /** Ends the call and resolves with its error, recorded. A failure here is final: the client has seen the beginning. */
  async failed(thrown: unknown): Promise<ConnectError> {
    const running = this.#running;
    if (running === undefined || this.#settlement.done) return this.#aborted();
    const failure = readFailure(running.attempt.failed(thrown), running.deployment);
    this.#noteFailure(failure, running);
    await this.#settlement.breakOff(running, UsageStatus.FAILED);
    return failure.error;
  }

  /** Prices and records the call; when it resolves, the client may see the end. */
  finish(finished: Finished): Promise<void> {
    const running = this.#live();
    const now = this.#core.runtime.now();
    recordSuccess(running.deployment, now);
    return this.#settlement.succeed(running, finished, now);
  }

  /** Lets the adapter end its stream after Finished. */
  drain(): Promise<void> | undefined {
    return this.#running?.attempt.drain();
  }

  /** Frees everything. A call that is not recorded yet was given up by its client. */
  close(): void {
    this.#running?.attempt.close();
    if (this.#settlement.done) return;
    if (this.#running === undefined) this.#settlement.void();
    else void this.#settlement.breakOff(this.#running, UsageStatus.ABORTED);
  }

  #choose(group: ModelGroup, tried: readonly Deployment[], now: number): Deployment | undefined {
    // A canned answer needs neither a key nor a healthy provider.
    if (this.#request.options?.mockResponse !== undefined) return group.deployments[0];
    return chooseDeployment(group.deployments, tried, now, this.#core.runtime.random);
  }

  #attempt(group: ModelGroup, deployment: Deployment, retries: number, now: number): Running {
    if (this.#settlement.done) throw this.#aborted();
    if (retries > 0) {
      this.#retries++;
      this.#core.events.retried(deployment);
    }
    const request: InferRequest = { ...this.#request, target: this.#target(deployment, now) };
    const running: Running = {
      deployment,
      groupName: group.name,
      attemptedRetries: this.#retries,
      attemptedFallbacks: this.#fallbacks,
      attempt: new Attempt(this.#core.inference, request, deployment, this.#limits(deployment)),
      group,
    };
    this.#running = running;
    return running;
  }

  /** Completes the first event with where it came from. Throws where it is no beginning of an answer. */
  #begin(running: Running, result: IteratorResult<InferResponse>): InferResponse {
    const response = running.attempt.take(result);
    if (this.#settlement.done) throw this.#aborted();
    const started = running.attempt.begin(response);
    this.#settlement.begin(started);
    started.deployment = running.deployment.id;
    started.provider = running.deployment.provider;
    started.modelGroup = running.groupName;
    started.attemptedRetries = running.attemptedRetries;
    started.attemptedFallbacks = running.attemptedFallbacks;
    return response;
  }

  /** What an attempt failed with that has not begun to answer. */
  #notBegun(running: Running, thrown: unknown): Failure {
    if (this.#settlement.done) throw this.#aborted();
    const { attempt, deployment } = running;
    const failure = readFailure(attempt.failed(thrown), deployment);
    attempt.close();
    this.#running = undefined;
    if (attempt.cutByClient) this.#cut = running;
    this.#noteFailure(failure, running);
    return failure;
  }

  /** Whether the group is to be tried again after its last failure. Waits before that. */
  async #mayRetry(group: ModelGroup, failed: Deployment, retries: number, failure: Failure): Promise<boolean> {
    const { runtime, settings } = this.#core;
    const others = hasOther(group.deployments, failed, runtime.now());
    const allowed = retriesAllowed(this.#request.options?.numRetries, failed);
    if (retries >= allowed || !isWorthRetry(failure, others)) return false;
    const delay = retryDelayMs(failure, others, retries, settings, runtime.random);
    if (this.#isLate(delay) || !hasUsable(group.deployments, runtime.now() + delay)) return false;
    if (delay > 0) await runtime.sleep(delay, this.#context.signal);
    if (this.#settlement.done) throw this.#aborted();
    return true;
  }

  /** The group to go on with. Where there is none, ends the call and throws its failure. */
  async #fallBack(queue: FallbackQueue, failed: ModelGroup, failure: Failure): Promise<ModelGroup> {
    const next = this.#isLate(0) ? undefined : this.#nextGroup(queue, failed.name, failure.kind);
    if (next === undefined) {
      if (this.#cut === undefined) this.#settlement.void();
      else await this.#settlement.breakOff(this.#cut, UsageStatus.ABORTED);
      throw failure.error;
    }
    this.#core.events.fellBack(failed.name, next.name);
    this.#fallbacks++;
    return next;
  }

  #fallbackQueue(): FallbackQueue {
    const { options } = this.#request;
    const max = options?.disableFallbacks === true ? 0 : this.#core.settings.maxFallbacks;
    return createFallbackQueue(this.#primary.name, options?.fallbacks ?? [], this.#core.fallbacks, max);
  }

  /** The next fallback that exists and that the caller may use. */
  #nextGroup(queue: FallbackQueue, failed: string, kind: Failure["kind"]): ModelGroup | undefined {
    const { caller } = this.#request;
    for (let name = queue.next(failed, kind); name !== undefined; name = queue.next(failed, kind)) {
      const group = callerAllows(caller, name, this.#core)
        ? this.#core.registry.resolve(name, caller?.teamId)
        : undefined;
      if (group !== undefined) return group;
    }
    return undefined;
  }

  #limits(deployment: Deployment): AttemptLimits {
    const { stream, options } = this.#request;
    const asked = positiveMs(options?.streamTimeout);
    const left = this.#deadline === undefined ? undefined : Math.max(0, this.#deadline - this.#core.runtime.now());
    return attemptLimits(deployment, left, stream, asked);
  }

  /** The deployment's own target where the call adds nothing to it. */
  #target(deployment: Deployment, now: number): Target {
    const { target } = deployment;
    const { options } = this.#request;
    const cap = outputCap(this.#request, deployment, this.#settlement.outputTokenCap, now);
    const allowed = options?.allowedOpenaiParams ?? [];
    const plain = options?.dropParams === undefined && options?.mockResponse === undefined && allowed.length === 0;
    if (plain && cap === undefined) return target;
    return {
      ...target,
      outputTokenCap: cap,
      dropParams: options?.dropParams ?? target.dropParams,
      mockResponse: options?.mockResponse ?? target.mockResponse,
      allowedOpenaiParams: [...target.allowedOpenaiParams, ...allowed],
    };
  }

  /** A client that does not wait says nothing about a deployment, and must not take it away from others. */
  #noteFailure(failure: Failure, { attempt, group, deployment }: Running): void {
    const { events, settings, runtime } = this.#core;
    events.attemptFailed(deployment, failure);
    if (!failure.ofDeployment || !group.cools || attempt.cutByClient) return;
    const duration = recordFailure(deployment, failure, group.deployments.length > 1, settings, runtime.now());
    if (duration > 0) events.cooledDown(deployment, duration);
  }

  /** The attempt that answers. Fails where the call is over already. */
  #live(): Running {
    if (this.#running === undefined || this.#settlement.done) throw this.#aborted();
    return this.#running;
  }

  /** Whether the client's time is over after a wait. */
  #isLate(delayMs: number): boolean {
    return this.#deadline !== undefined && this.#core.runtime.now() + delayMs >= this.#deadline;
  }

  #aborted(): ConnectError {
    const { reason } = this.#context.signal;
    return reason instanceof ConnectError ? reason : new ConnectError("the client hung up", Code.Canceled);
  }
}

/** A time the client set; 0 and less mean that it set none. */
function positiveMs(duration: Duration | undefined): number | undefined {
  if (duration === undefined) return undefined;
  const ms = durationMs(duration);
  return ms > 0 ? ms : undefined;
}
