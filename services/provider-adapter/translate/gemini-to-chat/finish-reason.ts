/** Gemini's finish reasons in OpenAI's words. https://ai.google.dev/api/generate-content#FinishReason */
const toOpenAi: Readonly<Record<string, string>> = {
  MAX_TOKENS: "length",
  SAFETY: "content_filter",
  RECITATION: "content_filter",
  BLOCKLIST: "content_filter",
  PROHIBITED_CONTENT: "content_filter",
  SPII: "content_filter",
  MODEL_ARMOR: "content_filter",
  IMAGE_SAFETY: "content_filter",
  IMAGE_PROHIBITED_CONTENT: "content_filter",
  IMAGE_RECITATION: "content_filter",
};

/** OpenAI's word for a finish reason; `stop` for one that says nothing else, `tool_calls` where the model calls tools. */
export function geminiFinishReason(reason: string, calls: boolean): string {
  const word = Object.hasOwn(toOpenAi, reason) ? (toOpenAi[reason] ?? "stop") : "stop";
  return word === "stop" && calls ? "tool_calls" : word;
}

/** Whether OpenAI's word says all that Gemini's does. */
export function isPlainFinish(reason: string): boolean {
  return reason === "STOP" || reason === "MAX_TOKENS";
}
