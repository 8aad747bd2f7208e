import type { JsonObject } from "../../provider.ts";
import type { MockReply } from "./reply.ts";

/** How a reply looks in one dialect. */
export interface MockDialect {
  /** The whole answer. */
  body(reply: MockReply): JsonObject;
  /** The events of a stream, in order; the last one closes it. */
  events(reply: MockReply, request: JsonObject): Iterable<Uint8Array>;
}

/** The tokens a reply counts, as plain numbers. */
export function counts(reply: MockReply): { input: number; output: number } {
  return { input: Number(reply.usage.inputTokens), output: Number(reply.usage.outputTokens) };
}
