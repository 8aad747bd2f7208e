import type { DescMethodUnary, DescService, Message } from "@bufbuild/protobuf";
import type { CallOptions, Client } from "@connectrpc/connect";

/** A service whose RPCs may carry REST paths, with the client that calls it. Made with `bindRest`. */
export interface RestBinding {
  readonly service: DescService;
  /** Calls a unary RPC with a message of its input type; answers one of its output type. */
  call(method: DescMethodUnary, request: Message, options: CallOptions): Promise<Message>;
}

type UnaryCall = (request: Message, options: CallOptions) => Promise<Message>;

export function bindRest<S extends DescService>(service: S, client: Client<S>): RestBinding {
  const methods = client as Record<string, unknown>;
  return {
    service,
    call(method, request, options) {
      // The descriptor says that it is unary, and takes and returns messages; the generic type cannot.
      const run = methods[method.localName] as UnaryCall;
      return run(request, options);
    },
  };
}
