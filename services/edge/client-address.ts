import type { IncomingHttpHeaders } from "node:http";
import type { EdgeConfig } from "./config.ts";

/** Where a call comes from: what a proxy says that is trusted, else the connection's other end. */
export function clientAddress(
  { trustForwardedFor }: EdgeConfig,
  headers: IncomingHttpHeaders,
  otherEnd: string | undefined,
): string {
  const forwarded = trustForwardedFor ? headers["x-forwarded-for"] : undefined;
  const first = typeof forwarded === "string" ? forwarded.split(",", 1)[0]?.trim() : undefined;
  return first || (otherEnd ?? "");
}
