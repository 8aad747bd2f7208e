/** OpenAI's finish reasons in Gemini's words. https://ai.google.dev/api/generate-content#FinishReason */
const toGemini: Readonly<Record<string, string>> = {
  stop: "STOP",
  length: "MAX_TOKENS",
  tool_calls: "STOP",
  function_call: "STOP",
  content_filter: "SAFETY",
};

/** Gemini's word for a finish reason; `OTHER` for one that is not known. A refusal is told by its text alone. */
export function finishReasonForGemini(reason: string, refused: boolean): string {
  if (refused) return "SAFETY";
  return Object.hasOwn(toGemini, reason) ? (toGemini[reason] ?? "OTHER") : "OTHER";
}
