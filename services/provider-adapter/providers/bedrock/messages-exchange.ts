import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { textOf } from "../../translate/json-reading.ts";
import { namedEvent } from "../../translate/sse-event.ts";
import { createConverseExchange } from "./converse-exchange.ts";
import { messagesToConverse } from "./request.ts";

/** A Messages call, translated both ways. Bedrock gives an answer no id, so it gets the call's. */
export function createMessagesExchange(call: ProviderCall): Exchange {
  return createConverseExchange(call, `msg_${call.callId ?? call.createdAt}`, (message, model) => ({
    body: messagesToConverse(message, model, call),
    answer: (answer) => answer,
    push: (event, out) => void out.push(frame(event)),
    finish: () => [],
  }));
}

function frame(event: JsonObject): Uint8Array {
  return namedEvent(textOf(event.type), JSON.stringify(event));
}
