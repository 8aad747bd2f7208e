import type { IncomingMessage, ServerResponse } from "node:http";
import { type DescMessage, type DescMethod, fromBinary, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { mergeNonProtocolHeaders } from "@connectrpc/connect/protocol";
import { codeToHttpStatus, parseTimeout, trailerMux } from "@connectrpc/connect/protocol-connect";
import { thrownError } from "../rpc/call-errors.ts";
import { contentTypes, endStreamEnvelope, envelopePrefixBytes, errorBody, timeoutHeader } from "../rpc/connect-wire.ts";
import { HandlerCall } from "../rpc/handler-call.ts";
import { type MethodCode, MethodStream, runUnary } from "../rpc/run-method.ts";
import { encodeMessage } from "../wire/message-writer.ts";
import type { WireWriter } from "../wire/wire-writer.ts";
import { EnvelopeWriter } from "./envelope-writer.ts";
import { headersOfRequest, readBody, refuse, stayOpenUnsaid } from "./http1-request.ts";
import type { TokenCheck } from "./mesh-token.ts";

export interface LeanHandlerOptions {
  readonly maxMessageBytes: number;
  readonly checkToken: TokenCheck;
  /** What answers are encoded with. */
  readonly wire: WireWriter;
  /** Told about every error that an implementation should not have thrown. */
  readonly onInternalError: (method: DescMethod, error: ConnectError) => void;
}

/** One RPC that is served. */
export interface ServedMethod {
  readonly method: DescMethod;
  readonly code: MethodCode;
}

/** Whether a request is what this handler answers; everything else is the stock handler's. */
export function isLeanRequest({ method }: ServedMethod, request: IncomingMessage): boolean {
  const { headers } = request;
  if (request.method !== "POST" || request.httpVersionMinor !== 1 || request.httpVersionMajor !== 1) return false;
  if (method.methodKind === "unary") {
    return headers["content-type"] === contentTypes.unary && headers["content-encoding"] === undefined;
  }
  return (
    method.methodKind === "server_streaming" &&
    headers["content-type"] === contentTypes.stream &&
    headers["connect-content-encoding"] === undefined
  );
}

/** Answers one call of the Connect protocol in binary over HTTP/1.1, without compression. */
export async function handleLean(
  served: ServedMethod,
  request: IncomingMessage,
  response: ServerResponse,
  options: LeanHandlerOptions,
): Promise<void> {
  const { method } = served;
  let call: HandlerCall | undefined;
  try {
    options.checkToken(method.parent.typeName, request.headers.authorization);
    call = newCall(method, request);
    watchDisconnect(call, response);
    const body = await readBody(request, options.maxMessageBytes + envelopePrefixBytes);
    if (method.methodKind === "unary") await answerUnary(call, served, body, response, options.wire);
    else await answerStream(call, served, body, response, options);
  } catch (thrown) {
    call?.end();
    const error = thrownError(thrown);
    if (error.code === Code.Internal) options.onInternalError(method, error);
    if (!response.destroyed && !response.writableEnded)
      sendError({ method, call, error, request, response, wire: options.wire });
  }
}

function newCall(method: DescMethod, request: IncomingMessage): HandlerCall {
  const timeout = parseTimeout(request.headers[timeoutHeader]?.toString() ?? null, Number.MAX_SAFE_INTEGER);
  if (timeout.error !== undefined) throw timeout.error;
  return new HandlerCall({
    method,
    // On the wire 0 means that no time is left.
    timeoutMs: timeout.timeoutMs === undefined ? undefined : Math.max(1, timeout.timeoutMs),
    signal: undefined,
    headers: () => headersOfRequest(request),
    values: undefined,
  });
}

function watchDisconnect(call: HandlerCall, response: ServerResponse): void {
  response.once("close", () => call.cancel());
}

async function answerUnary(
  call: HandlerCall,
  { method, code }: ServedMethod,
  body: Buffer,
  response: ServerResponse,
  wire: WireWriter,
): Promise<void> {
  const message = await runUnary(call, code, decode(method.input, body));
  const answer = encodeMessage(wire, method.output, message);
  const { header, trailer } = call.metadata;
  if (header !== undefined || trailer !== undefined) {
    const metadata = trailerMux(header ?? new Headers(), trailer ?? new Headers());
    for (const [name, value] of metadata) response.appendHeader(name, value);
  }
  stayOpenUnsaid(response);
  response.writeHead(200, { "content-type": contentTypes.unary, "content-length": answer.length });
  response.end(answer);
}

async function answerStream(
  call: HandlerCall,
  { method, code }: ServedMethod,
  body: Buffer,
  response: ServerResponse,
  options: LeanHandlerOptions,
): Promise<void> {
  const stream = new MethodStream(call, code, decode(method.input, singleEnvelope(body)));
  const writer = new EnvelopeWriter(response, options.wire, () => call.metadata.header);
  let error: ConnectError | undefined;
  try {
    for (;;) {
      const next = stream.ready() ?? (await stream.next());
      if (next.done === true) break;
      const slow = writer.write(method.output, next.value);
      if (slow !== undefined) await slow;
    }
  } catch (thrown) {
    await stream.return();
    error = thrownError(thrown);
    if (error.code === Code.Internal) options.onInternalError(method, error);
  }
  if (!response.destroyed) writer.end(endStreamEnvelope(call.metadata.trailer, error));
}

function singleEnvelope(body: Buffer): Buffer {
  if (body.length < envelopePrefixBytes || body.readUInt8(0) !== 0) {
    throw new ConnectError("the request is not one uncompressed message", Code.InvalidArgument);
  }
  if (body.readUInt32BE(1) !== body.length - envelopePrefixBytes) {
    throw new ConnectError("the request is not exactly one message", Code.InvalidArgument);
  }
  return body.subarray(envelopePrefixBytes);
}

function decode(schema: DescMessage, bytes: Uint8Array): Message {
  try {
    return fromBinary(schema, bytes);
  } catch (error) {
    throw new ConnectError("the message cannot be read", Code.InvalidArgument, undefined, undefined, error);
  }
}

interface FailedCall {
  readonly method: DescMethod;
  readonly call: HandlerCall | undefined;
  readonly error: ConnectError;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly wire: WireWriter;
}

/** A failure before anything was answered. One in mid-stream is the stream's last envelope. */
function sendError({ method, call, error, request, response, wire }: FailedCall): void {
  if (!request.complete) refuse(request, response);
  if (method.methodKind === "server_streaming") {
    new EnvelopeWriter(response, wire, () => call?.metadata.header).end(endStreamEnvelope(undefined, error));
    return;
  }
  const body = errorBody(error);
  const metadata = new Headers();
  if (!error.isWireError) mergeNonProtocolHeaders(metadata, error.metadata);
  for (const [name, value] of metadata) response.appendHeader(name, value);
  response.writeHead(codeToHttpStatus(error.code), {
    "content-type": "application/json",
    "content-length": body.length,
  });
  response.end(body);
}
