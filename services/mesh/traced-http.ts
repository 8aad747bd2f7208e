import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { SpanKind } from "@opentelemetry/api";
import { attributeNames } from "#chassis/telemetry-names.ts";
import type { Tracing } from "#chassis/tracing.ts";

/** Asked every few seconds by machines, and nothing that one would look for in a trace. */
const untraced = /^\/(?:health|metrics)(?:\/|\?|$)/;

/**
 * Requests as steps of traces, of the client's own where it names one. The step is named by its method alone: a path may
 * hold the name of a model or a key's alias.
 */
export function tracedHttp(handler: RequestListener, tracing: Tracing): RequestListener {
  return (request: IncomingMessage, response: ServerResponse & { req: IncomingMessage }) => {
    const { method = "", url = "", headers } = request;
    if (untraced.test(url)) {
      handler(request, response);
      return;
    }
    const attributes = { [attributeNames.httpMethod]: method, [attributeNames.urlPath]: url.split("?", 1)[0] };
    const peer = { traceparent: headers.traceparent?.toString(), tracestate: headers.tracestate?.toString() };
    const span = tracing.start(method, SpanKind.SERVER, attributes, peer);
    response.once("close", () => {
      const { statusCode, writableFinished } = response;
      span.set({ [attributeNames.httpStatus]: statusCode });
      if (!writableFinished) span.end("canceled");
      else span.end(statusCode >= 500 ? String(statusCode) : undefined);
    });
    span.run(() => handler(request, response));
  };
}
