import { Code, ConnectError } from "@connectrpc/connect";
import { findGatewayError, findUpstreamError } from "#chassis/errors.ts";
import { GatewayErrorSchema, UpstreamErrorSchema } from "#gen/sluice/error/v1/error_pb.ts";
import { errorAnswer } from "../error-body.ts";

/** A failure as a client of an RPC may see it. */
export interface ChatFailure {
  readonly error: ConnectError;
  /** True where the client is told nothing but the call id: the cause belongs into the log. */
  readonly hidden: boolean;
}

/** What an error without a detail may still say of itself. */
const plainCodes = new Set([Code.Canceled, Code.DeadlineExceeded, Code.Unavailable]);

/** The same leak policy, message and waiting time as over HTTP, with the detail that the error carries. */
export function chatError(thrown: unknown, callId: string): ChatFailure {
  const error = ConnectError.from(thrown, Code.Internal);
  const { body, headers, hidden } = errorAnswer(thrown, "openai", callId);
  const { message } = JSON.parse(body).error;
  const gateway = findGatewayError(error);
  const upstream = gateway === undefined ? findUpstreamError(error) : undefined;
  const metadata = new Headers();
  const retryAfter = headers[headers.indexOf("retry-after") + 1];
  if (headers.includes("retry-after") && retryAfter !== undefined) metadata.set("retry-after", retryAfter);
  const details = [
    ...(gateway === undefined ? [] : [{ desc: GatewayErrorSchema, value: gateway }]),
    ...(upstream === undefined ? [] : [{ desc: UpstreamErrorSchema, value: upstream }]),
  ];
  const code = hidden && !plainCodes.has(error.code) ? Code.Internal : error.code;
  return { error: new ConnectError(message, code, metadata, details), hidden: hidden && error.code !== Code.Canceled };
}
