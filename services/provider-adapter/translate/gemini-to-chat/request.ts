import type { JsonObject } from "../../provider.ts";
import { objectOf } from "../json-reading.ts";
import type { ChatProvider } from "../over-chat.ts";
import type { TranslationSettings } from "../unsupported-parameter.ts";
import { chatMessages } from "./request-messages.ts";
import { chatParams, refuseGoogleOnly } from "./request-params.ts";
import { chatTools } from "./request-tools.ts";
import { camelCased } from "./spelling.ts";

/** A request in other words. */
export interface ChatRequest {
  /** The body of a chat completion. */
  readonly chat: JsonObject;
  /** Whether the client wants to see what the model thought. */
  readonly includeThoughts: boolean;
}

/**
 * Turns the body of `generateContent`, https://ai.google.dev/api/generate-content, into a chat completion request. What
 * only Google understands is refused by name, or left out (`drop_params`). Parameters of the deployment are not merged
 * here: the chat exchange does that.
 */
export function geminiToChatRequest(
  client: JsonObject,
  settings: TranslationSettings,
  { id, upstream }: Pick<ChatProvider, "id" | "upstream">,
): ChatRequest {
  const request = camelCased(client);
  const config = camelCased(objectOf(request.generationConfig));
  refuseGoogleOnly(request, settings);
  const target = { provider: id, reasoningField: upstream.reasoningField };
  const chat: JsonObject = {
    model: settings.model,
    messages: chatMessages(request.systemInstruction, request.contents, target, settings),
    ...chatParams(config, settings, upstream),
    ...chatTools(request, settings, upstream),
  };
  if (settings.stream) chat.stream = true;
  return { chat, includeThoughts: camelCased(objectOf(config.thinkingConfig)).includeThoughts === true };
}
