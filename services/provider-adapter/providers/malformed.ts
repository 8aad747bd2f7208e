import type { UpstreamErrorInit } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";

/** An answer that is not what the protocol says: worth another try, because a healthy upstream would not send it. */
export function malformed(provider: string, message: string): UpstreamErrorInit {
  return { kind: UpstreamErrorKind.BAD_GATEWAY, httpStatus: 502, provider, retryable: true, message };
}
