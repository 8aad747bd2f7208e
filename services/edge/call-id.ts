import { randomUUID } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

/** An id that can stand in a header, in a log line and in a sentence as it is. */
const pattern = /^[\w.:+/=@-]{1,200}$/;

export function isCallId(text: string): boolean {
  return pattern.test(text);
}

/** The client's own id of the call, or a new one. */
export function readCallId(headers: IncomingHttpHeaders): string {
  const own = headers["x-litellm-call-id"];
  return typeof own === "string" && isCallId(own) ? own : randomUUID();
}
