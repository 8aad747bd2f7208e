import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";

/** What a provider's status means where its body tells nothing more. Other statuses are the provider's own business. */
export const kindOfStatus: Readonly<Record<number, UpstreamErrorKind>> = {
  401: UpstreamErrorKind.AUTHENTICATION,
  403: UpstreamErrorKind.PERMISSION_DENIED,
  404: UpstreamErrorKind.NOT_FOUND,
  408: UpstreamErrorKind.TIMEOUT,
  422: UpstreamErrorKind.UNPROCESSABLE,
  429: UpstreamErrorKind.RATE_LIMITED,
  500: UpstreamErrorKind.INTERNAL,
  502: UpstreamErrorKind.BAD_GATEWAY,
  503: UpstreamErrorKind.UNAVAILABLE,
  504: UpstreamErrorKind.TIMEOUT,
};
