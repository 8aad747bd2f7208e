import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { agentHints, withoutServerTools } from "../../translate/agent-requests.ts";
import { objectsOf, textOf } from "../../translate/json-reading.ts";
import { namedEvent } from "../../translate/sse-event.ts";
import { createConverseExchange } from "./converse-exchange.ts";
import { messagesToConverse } from "./request.ts";

/** A Messages call, translated both ways. Bedrock gives an answer no id, so it gets the call's. */
export function createMessagesExchange(client: ProviderCall): Exchange {
  const call = { ...client, hints: agentHints };
  return createConverseExchange(call, `msg_${call.callId ?? call.createdAt}`, (message, model) => ({
    body: messagesToConverse(forConverse(message), model, call),
    answer: (answer) => answer,
    push: (event, out) => void out.push(frame(event)),
    finish: () => [],
  }));
}

function forConverse(message: JsonObject): JsonObject {
  return message.tools === undefined
    ? message
    : { ...message, tools: [...withoutServerTools(objectsOf(message.tools))] };
}

function frame(event: JsonObject): Uint8Array {
  return namedEvent(textOf(event.type), JSON.stringify(event));
}
