import type { JsonObject } from "../../provider.ts";
import { numberOf, objectOf } from "../json-reading.ts";
import type { TranslationSettings } from "../unsupported-parameter.ts";
import { geminiModel } from "./gemini-models.ts";
import { geminiContents } from "./request-messages.ts";
import { generationConfig, passedParams } from "./request-params.ts";
import { geminiTools } from "./request-tools.ts";

/** How the answer has to look for the client; `translate/gemini-to-chat` reads it. */
export interface GeminiAnswerShape {
  /** Calls are told as `function_call`, not `tool_calls`. */
  readonly legacyFunctions: boolean;
  /** A stream ends with a usage chunk (`stream_options.include_usage`). */
  readonly includeUsage: boolean;
  /** How many candidates were asked for. */
  readonly choices: number;
}

export interface GeminiRequest {
  readonly body: JsonObject;
  readonly shape: GeminiAnswerShape;
}

/**
 * Turns a chat completion request into the body of `generateContent`, https://ai.google.dev/api/generate-content.
 * Parameters of the deployment count where the client set none. What becomes of every single parameter stands in
 * `request-params.ts`.
 */
export function chatToGeminiRequest(client: JsonObject, settings: TranslationSettings): GeminiRequest {
  const chat: JsonObject = { ...settings.defaultParams, ...client };
  const model = geminiModel(settings.model);
  const { contents, system } = geminiContents(chat.messages, model);
  const { tools, calling, legacy } = geminiTools(chat, settings);
  const body: JsonObject = { contents };
  if (system !== undefined) body.systemInstruction = system;
  Object.assign(body, passedParams(chat, settings));
  const config = generationConfig(chat, model, settings);
  if (Object.keys(config).length > 0) body.generationConfig = config;
  if (tools.length > 0) body.tools = tools;
  const toolConfig = {
    ...(calling === undefined ? {} : { functionCallingConfig: calling }),
    ...objectOf(chat.toolConfig),
  };
  if (Object.keys(toolConfig).length > 0) body.toolConfig = toolConfig;
  return {
    body,
    shape: {
      legacyFunctions: legacy,
      includeUsage: objectOf(chat.stream_options).include_usage === true,
      choices: Math.max(1, numberOf(chat.n)),
    },
  };
}
