import { timingSafeEqual } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import type { Secret } from "../secret.ts";

/** Refuses a call whose `authorization` header does not hold the mesh token. Throws Unauthenticated. */
export type TokenCheck = (serviceName: string, authorization: string | undefined) => void;

/** Without a token everybody may call. Health is open to everybody: probes send no token. */
export function createTokenCheck(token: Secret | undefined): TokenCheck {
  if (token === undefined) return () => undefined;
  const expected = Buffer.from(`Bearer ${token.reveal()}`);
  return (serviceName, authorization) => {
    if (serviceName === Health.typeName) return;
    const given = Buffer.from(authorization ?? "");
    if (given.length === expected.length && timingSafeEqual(given, expected)) return;
    throw new ConnectError("the mesh token is missing or wrong", Code.Unauthenticated);
  };
}
