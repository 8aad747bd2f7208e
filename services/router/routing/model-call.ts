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
import { Attempt, type AttemptLimits } from "./attempt.ts";
import { chooseDeployment, hasOther, hasUsable } from "./choose-deployment.ts";
import { recordFailure, recordSuccess } from "./cooldowns.ts";
import { outputCap } from "./estimate.ts";
import { type Failure, readFailure, unavailable } from "./failure.ts";
import { createFallbackQueue, type FallbackLookup, type FallbackQueue } from "./fallback-plan.ts";
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

type Opened = { readonly opened: InferResponse };

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
  readonly #deadline: number | undefined;
  #running: Running | undefined;
  /** The last attempt that the client's own time limit ended: its provider may bill for it. */
  #cut: Route | undefined;
  #retries = 0;
  #fallbacks = 0;

  constructor(
    core: RouterCore,
    request: InferRequest,
    primary: ModelGroup,
    admission: Admission,
    context: Cancellable,
  ) {
    this.#core = core;
    this.#request = request;
    this.#primary = primary;
    this.#settlement = new Settlement(request, admission, core.events, core.runtime);
    this.#context = context;
    const timeout = positiveMs(request.options?.timeout);
    this.#deadline = timeout === undefined ? undefined : core.runtime.now() + timeout;
  }

  /** Tries deployments and groups until one answers; returns its Started. Throws the last failure. */
  async open(): Promise<InferResponse> {
    let queue: FallbackQueue | undefined;
    let group = this.#primary;
    for (;;) {
      const result = await this.#tryGroup(group);
      if ("opened" in result) return result.opened;
      queue ??= this.#fallbackQueue();
      const next = this.#isLate(0) ? undefined : this.#nextGroup(queue, group.name, result.kind);
      if (next === undefined) {
        if (this.#cut === undefined) this.#settlement.void();
        else await this.#settlement.breakOff(this.#cut, UsageStatus.ABORTED);
        throw result.error;
      }
      this.#core.events.fellBack(group.name, next.name);
      this.#fallbacks++;
      group = next;
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
    recordSuccess(running.deployment, this.#core.runtime.now());
    return this.#settlement.succeed(running, finished);
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

  async #tryGroup(group: ModelGroup): Promise<Opened | Failure> {
    const { runtime, settings, events } = this.#core;
    const tried: Deployment[] = [];
    let last: Failure | undefined;
    for (let retries = 0; ; retries++) {
      const deployment = this.#choose(group, tried);
      if (deployment === undefined) return last ?? unavailable(group, runtime.now());
      if (retries > 0) {
        this.#retries++;
        events.retried(deployment);
      }
      const result = await this.#attempt(group, deployment);
      if ("opened" in result) return result;
      last = result;
      tried.push(deployment);
      const others = hasOther(group.deployments, deployment, runtime.now());
      const allowed = retriesAllowed(this.#request.options?.numRetries, deployment);
      if (retries >= allowed || !isWorthRetry(result, others)) return result;
      const delay = retryDelayMs(result, others, retries, settings, runtime.random);
      if (this.#isLate(delay) || !hasUsable(group.deployments, runtime.now() + delay)) return result;
      if (delay > 0) await runtime.sleep(delay, this.#context.signal);
      if (this.#settlement.done) throw this.#aborted();
    }
  }

  #choose(group: ModelGroup, tried: readonly Deployment[]): Deployment | undefined {
    // A canned answer needs neither a key nor a healthy provider.
    if (this.#request.options?.mockResponse !== undefined) return group.deployments[0];
    const { runtime } = this.#core;
    return chooseDeployment(group.deployments, tried, runtime.now(), runtime.random);
  }

  async #attempt(group: ModelGroup, deployment: Deployment): Promise<Opened | Failure> {
    if (this.#settlement.done) throw this.#aborted();
    const request: InferRequest = { ...this.#request, target: this.#target(deployment) };
    const attempt = new Attempt(this.#core.inference, request, deployment, this.#limits(deployment));
    const running: Running = {
      deployment,
      groupName: group.name,
      attemptedRetries: this.#retries,
      attemptedFallbacks: this.#fallbacks,
      attempt,
      group,
    };
    this.#running = running;
    try {
      let response: InferResponse;
      try {
        response = attempt.take(await attempt.advance());
      } catch (error) {
        throw attempt.failed(error);
      }
      if (this.#settlement.done) throw this.#aborted();
      const started = attempt.begin(response);
      this.#settlement.begin();
      started.deployment = deployment.id;
      started.provider = deployment.provider;
      started.modelGroup = group.name;
      started.attemptedRetries = this.#retries;
      started.attemptedFallbacks = this.#fallbacks;
      return { opened: response };
    } catch (thrown) {
      if (this.#settlement.done) throw this.#aborted();
      attempt.close();
      this.#running = undefined;
      if (attempt.cutByClient) this.#cut = running;
      const failure = readFailure(thrown, deployment);
      this.#noteFailure(failure, running);
      return failure;
    }
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
    const asked = positiveMs(this.#request.options?.streamTimeout);
    const totalMs =
      this.#deadline === undefined ? deployment.timeoutMs : Math.max(0, this.#deadline - this.#core.runtime.now());
    const ownFirstPayloadMs = deployment.streamTimeoutMs ?? deployment.timeoutMs;
    return {
      totalMs,
      firstPayloadMs: this.#request.stream ? (asked ?? deployment.streamTimeoutMs) : undefined,
      impatient: {
        total: totalMs < deployment.timeoutMs,
        firstPayload: asked !== undefined && asked < ownFirstPayloadMs,
      },
    };
  }

  /** The deployment's own target where the call adds nothing to it. */
  #target(deployment: Deployment): Target {
    const { target } = deployment;
    const { options } = this.#request;
    const cap = outputCap(this.#request, deployment, this.#settlement.outputTokenCap, this.#core.runtime.now());
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
