import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { CompletionChunkSchema } from "#gen/sluice/chat/v1/chat_pb.ts";
import type {
  StreamChatCompletionRequest,
  StreamChatCompletionResponseSchema,
} from "#gen/sluice/chat/v1/chat_service_pb.ts";
import { readAnswer, readEventData } from "../chat/chat-answer.ts";
import { type ChatParts, runChat } from "../chat/run-chat.ts";

/** Answers a chat in pieces. */
export function streamChatCompletion(parts: ChatParts) {
  return async function* (
    { chat }: StreamChatCompletionRequest,
    handler: HandlerContext,
  ): AsyncGenerator<MessageInitShape<typeof StreamChatCompletionResponseSchema>> {
    for await (const step of runChat(parts, chat, true, handler)) {
      if ("summary" in step) {
        yield { event: { case: "summary", value: step.summary } };
        continue;
      }
      const data = readEventData(step.payload);
      if (data === undefined) continue;
      yield { event: { case: "chunk", value: readAnswer(CompletionChunkSchema, data) } };
    }
  };
}
