import { create, type DescMethod, type DescService, type Message } from "@bufbuild/protobuf";
import { type CallOptions, type Client, makeAnyClient, type ServiceImpl } from "@connectrpc/connect";
import { HandlerCall } from "./handler-call.ts";
import { type MethodCode, MethodStream, methodCode, runUnary } from "./run-method.ts";

/**
 * A client that calls an implementation directly: nothing is serialized and no socket is used, and deadlines, errors,
 * cancellation and headers are those of a remote call. Messages pass by reference: neither side may change one after
 * it has handed it over. Breaking out of a stream cancels it.
 */
export function createLocalClient<S extends DescService>(
  service: S,
  implementation: Record<string, unknown> | ServiceImpl<S>,
): Client<S> {
  return makeAnyClient(service, (method) => {
    const code = methodCode(implementation, method);
    return method.methodKind === "server_streaming"
      ? (request: Record<string, unknown>, options?: CallOptions) => callStream(method, code, request, options)
      : async (request: Record<string, unknown>, options?: CallOptions) => callUnary(method, code, request, options);
  }) as Client<S>;
}

function callUnary(
  method: DescMethod,
  code: MethodCode,
  request: Record<string, unknown>,
  options?: CallOptions,
): Promise<Message> {
  const message = create(method.input, request);
  const call = newCall(method, options);
  const answer = runUnary(call, code, message);
  if (options?.onHeader === undefined && options?.onTrailer === undefined) return answer;
  return answer.then((answered) => {
    options.onHeader?.(call.responseHeader);
    options.onTrailer?.(call.responseTrailer);
    return answered;
  });
}

function callStream(
  method: DescMethod,
  code: MethodCode,
  request: Record<string, unknown>,
  options?: CallOptions,
): AsyncIterable<Message> {
  const message = create(method.input, request);
  const call = newCall(method, options);
  const stream = new MethodStream(call, code, message);
  if (options?.onHeader === undefined && options?.onTrailer === undefined) return stream;
  return withMetadata(call, stream, options);
}

async function* withMetadata(call: HandlerCall, stream: MethodStream, options: CallOptions): AsyncIterable<Message> {
  let first = true;
  for await (const message of stream) {
    if (first) options.onHeader?.(call.responseHeader);
    first = false;
    yield message;
  }
  if (first) options.onHeader?.(call.responseHeader);
  options.onTrailer?.(call.responseTrailer);
}

function newCall(method: DescMethod, options: CallOptions | undefined): HandlerCall {
  return new HandlerCall({
    method,
    timeoutMs: options?.timeoutMs,
    signal: options?.signal,
    headers: () => new Headers(options?.headers),
    values: options?.contextValues,
  });
}
