import type { JsonObject } from "../../provider.ts";
import { usageMetadata } from "../../translate/chat-to-gemini/answer-usage.ts";
import { finishReasonForGemini } from "../../translate/chat-to-gemini/finish-reason.ts";
import { dataEvent } from "../../translate/sse-event.ts";
import type { MockDialect } from "./dialect.ts";
import type { MockReply } from "./reply.ts";

/** Google's generateContent. */
export const generateContent: MockDialect = {
  body: (reply) => ending(reply, [...texts(reply), ...calls(reply)]),
  *events(reply) {
    for (const text of reply.tokens) {
      yield event({ candidates: [{ content: { parts: [{ text }], role: "model" }, index: 0 }], ...head(reply) });
    }
    yield event(ending(reply, calls(reply)));
  },
};

function event(response: JsonObject): Uint8Array {
  return dataEvent(JSON.stringify(response));
}

function ending(reply: MockReply, parts: JsonObject[]): JsonObject {
  const content: JsonObject = { parts: parts.length === 0 ? [{ text: "" }] : parts, role: "model" };
  const finishReason = finishReasonForGemini(reply.finishReason, false);
  return {
    candidates: [{ content, finishReason, index: 0 }],
    usageMetadata: usageMetadata(reply.usage),
    ...head(reply),
  };
}

function head(reply: MockReply): JsonObject {
  return { modelVersion: reply.model, responseId: reply.id };
}

function texts(reply: MockReply): JsonObject[] {
  return reply.tokens.length === 0 ? [] : [{ text: reply.tokens.join("") }];
}

function calls(reply: MockReply): JsonObject[] {
  return reply.toolCalls.map((call) => ({
    functionCall: { id: call.id, name: call.name, args: JSON.parse(call.arguments) },
  }));
}
