import type { JsonObject } from "../../provider.ts";
import type { TextPiece } from "../../translate/chat-over-text/answer.ts";
import { type PromptTemplate, promptOf, templates } from "../../translate/chat-over-text/prompt.ts";
import { defined, type TextRequest } from "../../translate/chat-over-text/request.ts";
import { countOf, listOf, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import type { InvokeFormat } from "./bedrock-model.ts";

/** How a model that continues texts is asked and answers over Invoke. */
export interface TextFormat {
  /** Whether the answer begins with thoughts, up to `</think>`; the mark that opens them is the prompt's last. */
  readonly thinks?: true;
  body(request: TextRequest, model: string): JsonObject;
  /** Reads a whole answer, or a chunk of a stream. */
  read(answer: JsonObject): TextPiece;
}

/** https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html, one page for each. */
export const textFormats: Readonly<Partial<Record<InvokeFormat, TextFormat>>> = {
  titan: {
    body: (request) => ({
      inputText: promptOf(templates.titan, request.turns),
      textGenerationConfig: defined({
        maxTokenCount: request.maxTokens,
        temperature: request.temperature,
        topP: request.topP,
        stopSequences: request.stop,
        ...request.passed,
      }),
    }),
    read(answer) {
      const [result = answer] = objectsOf(answer.results);
      return {
        text: textOf(result.outputText),
        finishReason: finishOf(textOf(result.completionReason)),
        inputTokens: countOf(answer.inputTextTokenCount),
        outputTokens: countOf(result.tokenCount ?? answer.totalOutputTextTokenCount),
      };
    },
  },
  llama: generation((model) => (/llama2/.test(model) ? templates.llama2 : templates.llama3)),
  qwen: generation(() => templates.chatml),
  mistral: {
    body: (request) => ({
      prompt: promptOf(templates.mistral, request.turns),
      ...limits("max_tokens", "stop", request),
    }),
    read(answer) {
      const { text, stop_reason: reason } = objectOf(listOf(answer.outputs)[0]);
      return { text: textOf(text), finishReason: finishOf(textOf(reason)) };
    },
  },
  "claude-text": {
    body: (request) => ({
      prompt: promptOf(templates.claude, request.turns),
      ...limits("max_tokens_to_sample", "stop_sequences", { ...request, maxTokens: request.maxTokens ?? 4096 }),
    }),
    read: (answer) => ({ text: textOf(answer.completion), finishReason: finishOf(textOf(answer.stop_reason)) }),
  },
  cohere: {
    body: ({ topP, ...request }) => ({
      prompt: promptOf(templates.plain, request.turns).trimEnd(),
      ...limits("max_tokens", "stop_sequences", { ...request, topP: undefined }),
      ...defined({ p: topP }),
    }),
    read(answer) {
      const [whole = answer] = objectsOf(answer.generations);
      return { text: textOf(whole.text), finishReason: finishOf(textOf(whole.finish_reason)) };
    },
  },
  "command-r": {
    body({ topP, ...request }) {
      const [last, ...before] = request.turns.toReversed();
      const history = before.toReversed().map(({ role, text }) => ({ role: cohereRoles[role], message: text }));
      return {
        message: last?.text ?? "",
        ...defined({ chat_history: history.length > 0 ? history : undefined, p: topP }),
        ...limits("max_tokens", "stop_sequences", { ...request, topP: undefined }),
      };
    },
    // The end of a stream repeats the whole text, in another member.
    read: (answer) => ({ text: textOf(answer.text), finishReason: finishOf(textOf(answer.finish_reason)) }),
  },
  deepseek: {
    thinks: true,
    body: (request) => ({
      prompt: promptOf(templates.deepseek, request.turns),
      ...limits("max_tokens", "stop", request),
    }),
    read(answer) {
      const { text, stop_reason: reason } = objectOf(listOf(answer.choices)[0]);
      return { text: textOf(text), finishReason: finishOf(textOf(reason)) };
    },
  },
};

const cohereRoles = { system: "SYSTEM", user: "USER", assistant: "CHATBOT" } as const;

/** Llama's words, which imported models of other makers speak too. */
function generation(template: (model: string) => PromptTemplate): TextFormat {
  return {
    body: (request, model) => ({
      prompt: promptOf(template(model), request.turns),
      ...limits("max_gen_len", "stop", request),
    }),
    read(answer) {
      const [whole = {}] = [...objectsOf(answer.outputs), ...objectsOf(answer.choices)];
      return {
        text: textOf(answer.generation ?? whole.text),
        finishReason: finishOf(textOf(answer.stop_reason ?? whole.stop_reason)),
        inputTokens: countOf(answer.prompt_token_count),
        outputTokens: countOf(answer.generation_token_count),
      };
    },
  };
}

/** What most formats have at the top of the body, under the names of the limit and the stop sequences. */
function limits(limit: string, stop: string, { maxTokens, temperature, topP, ...rest }: TextRequest): JsonObject {
  return { ...defined({ [limit]: maxTokens, temperature, top_p: topP, [stop]: rest.stop }), ...rest.passed };
}

/** OpenAI's word for why a model stopped. */
function finishOf(reason: string): string {
  if (reason === "") return "";
  const lower = reason.toLowerCase();
  if (lower === "length" || lower === "max_tokens") return "length";
  return /filter|toxic/.test(lower) ? "content_filter" : "stop";
}
