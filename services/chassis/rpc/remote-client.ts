import { create, type DescService, type Message } from "@bufbuild/protobuf";
import { type CallOptions, type Client, Code, ConnectError, makeAnyClient } from "@connectrpc/connect";
import { encodeMessage } from "../wire/message-writer.ts";
import type { Channel } from "./channel.ts";
import { contentTypes, encodeEnvelope } from "./connect-wire.ts";
import type { RemoteCallInit } from "./remote-call.ts";
import { RemoteStream } from "./remote-stream.ts";
import { RemoteUnary } from "./remote-unary.ts";

/**
 * A client that calls a service over a channel, in the Connect protocol over HTTP/1.1: unary and server-streaming
 * methods. A stream's request is sent when the method is called, not when it is read. Breaking out of a stream cancels
 * the call.
 */
export function createRemoteClient<S extends DescService>(service: S, channel: Channel): Client<S> {
  return makeAnyClient(service, (method) => {
    const path = `/${service.typeName}/${method.name}`;
    switch (method.methodKind) {
      case "unary":
        return async (request: Record<string, unknown>, options?: CallOptions) =>
          callUnary({
            channel,
            method,
            path,
            contentType: contentTypes.unary,
            options,
            body: encodeMessage(channel.wire, method.input, create(method.input, request)),
          });
      case "server_streaming":
        return (request: Record<string, unknown>, options?: CallOptions) =>
          callStream({
            channel,
            method,
            path,
            contentType: contentTypes.stream,
            options,
            body: encodeEnvelope(channel.wire, method.input, create(method.input, request)),
          });
      default:
        return () => {
          throw new ConnectError(`${method.methodKind} methods are not supported`, Code.Unimplemented);
        };
    }
  }) as Client<S>;
}

function callUnary(init: RemoteCallInit): Promise<Message> {
  const call = new RemoteUnary(init);
  call.start();
  return call.answer;
}

function callStream(init: RemoteCallInit): AsyncIterable<Message> {
  const call = new RemoteStream(init);
  call.start();
  return call;
}
