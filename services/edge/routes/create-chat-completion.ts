import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { CompletionSchema, type Summary } from "#gen/sluice/chat/v1/chat_pb.ts";
import type {
  CreateChatCompletionRequest,
  CreateChatCompletionResponseSchema,
} from "#gen/sluice/chat/v1/chat_service_pb.ts";
import { readAnswer } from "../chat/chat-answer.ts";
import { type ChatParts, runChat } from "../chat/run-chat.ts";

/** Answers a chat with a whole completion. */
export function createChatCompletion(parts: ChatParts) {
  return async (
    { chat }: CreateChatCompletionRequest,
    handler: HandlerContext,
  ): Promise<MessageInitShape<typeof CreateChatCompletionResponseSchema>> => {
    const payloads: Uint8Array[] = [];
    let summary: Summary | undefined;
    for await (const step of runChat(parts, chat, false, handler)) {
      if ("summary" in step) summary = step.summary;
      else payloads.push(step.payload);
    }
    if (summary === undefined) throw new ConnectError("the answer has no end", Code.Internal);
    return { completion: readAnswer(CompletionSchema, Buffer.concat(payloads)), summary };
  };
}
