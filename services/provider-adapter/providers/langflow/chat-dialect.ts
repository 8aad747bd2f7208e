import type { JsonValue, ProviderCall } from "../../provider.ts";
import { readPromptRequest } from "../../translate/chat-to-prompt/request.ts";
import { objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import type { ChatDialect, ChatEvent } from "../chat-dialect/chat-dialect.ts";
import { protocolError } from "../openai-compatible/answer.ts";
import { providerId, upstreamRequest } from "./upstream-request.ts";

/**
 * How a Langflow server speaks in one call. A flow takes one text: what the user says where that is all, else the whole
 * conversation. A stream is a JSON object a line, the last one of which has the whole answer.
 */
export function createChatDialect(call: ProviderCall): ChatDialect {
  const { prompt, turns, params } = readPromptRequest(call, providerId, {});
  const [only] = turns;
  const input = turns.length === 1 && only?.role === "user" ? only.text : prompt;
  let hasTold = false;
  return {
    id: providerId,
    request: upstreamRequest(call, { input_value: input, input_type: "chat", output_type: "chat", ...params }),
    framing: "ndjson",
    readAnswer(answer) {
      const text = textIn(answer);
      if (text === undefined) throw protocolError(providerId, "the answer has no message");
      return { id: "", choices: [{ content: text, finishReason: "stop" }], usage: undefined };
    },
    readEvent({ event, data }): ChatEvent | undefined {
      if (event === "token") {
        const chunk = textOf(objectOf(data).chunk);
        hasTold ||= chunk !== "";
        return { delta: chunk === "" ? {} : { content: chunk } };
      }
      if (event !== "end") return undefined;
      const text = hasTold ? "" : (textIn(objectOf(data).result) ?? "");
      return { delta: text === "" ? {} : { content: text }, finishReason: "stop" };
    },
  };
}

/** The text of the first output; undefined where there is none. */
function textIn(answer: JsonValue | undefined): string | undefined {
  const [run] = objectsOf(objectOf(answer).outputs);
  const [output] = objectsOf(run?.outputs);
  const message = objectOf(objectOf(output?.results).message);
  const [first] = objectsOf(output?.messages);
  const found = [message.text, objectOf(message.data).text, first?.message].find((text) => typeof text === "string");
  return typeof found === "string" ? found : undefined;
}
