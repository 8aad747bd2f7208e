import { timingSafeEqual } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import type { Secret } from "../secret.ts";

/** Refuses a call whose `authorization` header does not hold the mesh token. Throws Unauthenticated. */
export type TokenCheck = (serviceName: string, authorization: string | undefined) => void;

/** Any of the tokens will do. Without one everybody may call. Health is open to everybody: probes send no token. */
export function createTokenCheck(token: Secret | undefined, others: readonly Secret[] = []): TokenCheck {
  if (token === undefined) return () => undefined;
  const accepted = [token, ...others].map((each) => Buffer.from(`Bearer ${each.reveal()}`));
  return (serviceName, authorization) => {
    if (serviceName === Health.typeName) return;
    const given = Buffer.from(authorization ?? "");
    if (accepted.some((each) => given.length === each.length && timingSafeEqual(given, each))) return;
    throw new ConnectError("the mesh token is missing or wrong", Code.Unauthenticated);
  };
}
