import { create, type DescMethod, isMessage, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { thrownError } from "./call-errors.ts";
import type { HandlerCall } from "./handler-call.ts";
import { type ReadyIterator, readyStep } from "./ready.ts";

/** The code of one RPC, its types erased: the method's descriptor says what goes in and out. */
export type MethodCode = (request: Message, context: HandlerContext) => unknown;

/** The code that an implementation has for a method. A missing one, or a kind not offered, answers Unimplemented. */
export function methodCode(implementation: object, method: DescMethod): MethodCode {
  const code: unknown = Reflect.get(implementation, method.localName);
  const offered = method.methodKind === "unary" || method.methodKind === "server_streaming";
  if (offered && typeof code === "function") return (request, context) => code.call(implementation, request, context);
  return () => {
    throw new ConnectError(`${method.parent.typeName}.${method.name} is not implemented`, Code.Unimplemented);
  };
}

/** Runs a unary method. Rejects at once when the call is canceled or out of time, whatever the code is doing. */
export function runUnary(call: HandlerCall, code: MethodCode, request: Message): Promise<Message> {
  return new Promise((resolve, reject) => {
    const fail = (thrown: unknown): void => {
      call.end();
      reject(thrownError(thrown));
    };
    if (call.failure !== undefined) {
      fail(call.failure);
      return;
    }
    call.onFailure = reject;
    const succeed = (answer: unknown): void => {
      try {
        resolve(messageOf(call.method, answer));
        call.end();
      } catch (thrown) {
        fail(thrown);
      }
    };
    try {
      const answer = code(request, call);
      if (isPromise(answer)) answer.then(succeed, fail);
      else succeed(answer);
    } catch (thrown) {
      fail(thrown);
    }
  });
}

const finished: IteratorResult<Message, undefined> = { done: true, value: undefined };

/**
 * Runs a server-streaming method. A failure from outside rejects the waiting `next()` at once, also while the code
 * ignores its signal. `return()` cancels the call; neither waits for the code, which may hang for ever.
 */
export class MethodStream implements ReadyIterator<Message> {
  readonly #call: HandlerCall;
  readonly #iterator: AsyncIterator<unknown> | undefined;
  #pending: Promise<IteratorResult<Message, undefined>> | undefined;
  #resolve: ((result: IteratorResult<Message, undefined>) => void) | undefined;
  #reject: ((error: ConnectError) => void) | undefined;
  #error: ConnectError | undefined;
  #done = false;

  constructor(call: HandlerCall, code: MethodCode, request: Message) {
    this.#call = call;
    this.#error = call.failure;
    if (this.#error !== undefined) return;
    call.onFailure = (error) => this.#fail(error);
    try {
      this.#iterator = iteratorOf(code(request, call));
    } catch (thrown) {
      this.#fail(thrownError(thrown));
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Message, undefined>> {
    if (this.#pending !== undefined) {
      const later = () => this.next();
      return this.#pending.then(later, later);
    }
    if (this.#error !== undefined) {
      const error = this.#error;
      this.#error = undefined;
      this.#done = true;
      return Promise.reject(error);
    }
    if (this.#done || this.#iterator === undefined) return Promise.resolve(finished);
    const pending = new Promise<IteratorResult<Message, undefined>>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#pending = pending;
    try {
      this.#iterator.next().then(this.#onResult, this.#onThrown);
    } catch (thrown) {
      this.#onThrown(thrown);
    }
    return pending;
  }

  ready(): IteratorResult<Message, undefined> | undefined {
    if (this.#iterator === undefined || this.#pending !== undefined || this.#error !== undefined) return undefined;
    if (this.#done) return finished;
    try {
      const step = readyStep(this.#iterator);
      return step === undefined ? undefined : this.#accept(step);
    } catch (thrown) {
      this.#onThrown(thrown);
      return undefined;
    }
  }

  return(): Promise<IteratorResult<Message, undefined>> {
    if (!this.#done) this.#call.cancel();
    this.#error = undefined;
    this.#done = true;
    return Promise.resolve(finished);
  }

  readonly #onResult = (result: IteratorResult<unknown>): void => {
    const resolve = this.#resolve;
    if (resolve === undefined) return;
    try {
      const step = this.#accept(result);
      this.#settle();
      resolve(step);
    } catch (thrown) {
      this.#onThrown(thrown);
    }
  };

  /** What the implementation has yielded, completed. Throws where it is no message. */
  #accept(result: IteratorResult<unknown>): IteratorResult<Message, undefined> {
    if (result.done === true) {
      this.#done = true;
      this.#call.end();
      return finished;
    }
    const value = messageOf(this.#call.method, result.value);
    return value === result.value ? (result as IteratorYieldResult<Message>) : { done: false, value };
  }

  readonly #onThrown = (thrown: unknown): void => {
    this.#fail(thrownError(thrown));
  };

  #fail(error: ConnectError): void {
    if (this.#done || this.#error !== undefined) return;
    this.#call.end();
    this.#abandon();
    const reject = this.#reject;
    this.#settle();
    if (reject === undefined) {
      this.#error = error;
      return;
    }
    this.#done = true;
    reject(error);
  }

  #abandon(): void {
    try {
      this.#iterator?.return?.()?.then(undefined, () => undefined);
    } catch {
      // The call has its error already; what its code does on the way out interests nobody.
    }
  }

  #settle(): void {
    this.#pending = undefined;
    this.#resolve = undefined;
    this.#reject = undefined;
  }
}

function iteratorOf(answer: unknown): AsyncIterator<unknown> {
  if (typeof answer === "object" && answer !== null && Symbol.asyncIterator in answer) {
    return (answer as AsyncIterable<unknown>)[Symbol.asyncIterator]();
  }
  throw new TypeError("a server-streaming method must return an async iterable");
}

/** Completes what an implementation answered to a whole message; a message already is one and is passed on. */
function messageOf(method: DescMethod, answer: unknown): Message {
  if (isMessage(answer, method.output)) return answer;
  if (typeof answer !== "object" || answer === null) throw new TypeError(`${method.name} answered no message`);
  return create(method.output, answer as Record<string, unknown>);
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
