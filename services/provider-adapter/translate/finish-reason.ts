/** Anthropic's stop reasons in OpenAI's words. https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons */
const toOpenAi: Readonly<Record<string, string>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  max_tokens: "length",
  model_context_window_exceeded: "length",
  tool_use: "tool_calls",
  pause_turn: "stop",
  refusal: "content_filter",
};

const toAnthropic: Readonly<Record<string, string>> = {
  stop: "end_turn",
  length: "max_tokens",
  tool_calls: "tool_use",
  function_call: "tool_use",
  content_filter: "refusal",
};

/** OpenAI's word for a stop reason; `stop` for one that is not known yet, empty where none was given. */
export function finishReasonOf(stopReason: string): string {
  return stopReason === "" ? "" : (toOpenAi[stopReason] ?? "stop");
}

/** Anthropic's word for a finish reason; `end_turn` for one that is not known. */
export function stopReasonOf(finishReason: string): string {
  return toAnthropic[finishReason] ?? "end_turn";
}
