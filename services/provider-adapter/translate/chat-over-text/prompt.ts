import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { objectsOf, textOf } from "../json-reading.ts";

/** One message of a chat, as a text. */
export interface Turn {
  readonly role: "system" | "user" | "assistant";
  readonly text: string;
}

/** How a model that only continues a text was taught to read a chat. */
export interface PromptTemplate {
  readonly start?: string;
  readonly system: readonly [before: string, after: string];
  readonly user: readonly [before: string, after: string];
  readonly assistant: readonly [before: string, after: string];
  /** What stands before the answer. */
  readonly answer: string;
}

const plain = ["", "\n"] as const;

/** By their makers' documentation; LiteLLM's for what has none. */
export const templates = {
  /** No marks at all. */
  plain: { system: plain, user: plain, assistant: plain, answer: "" },
  /** https://www.llama.com/docs/model-cards-and-prompt-formats/meta-llama-3/ */
  llama3: {
    start: "<|begin_of_text|>",
    system: ["<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"],
    user: ["<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"],
    assistant: ["<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"],
    answer: "<|start_header_id|>assistant<|end_header_id|>\n\n",
  },
  /** https://www.llama.com/docs/model-cards-and-prompt-formats/meta-llama-2/ */
  llama2: {
    system: ["[INST] <<SYS>>\n", "\n<</SYS>>\n [/INST]\n"],
    user: ["[INST] ", " [/INST]\n"],
    assistant: plain,
    answer: "",
  },
  /** https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-mistral-text-completion.html */
  mistral: {
    start: "<s>",
    system: ["[INST] ", " [/INST]\n"],
    user: ["[INST] ", " [/INST]\n"],
    assistant: ["", "</s>"],
    answer: "",
  },
  /** https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-text.html */
  titan: { system: plain, user: ["User: ", "\n"], assistant: ["Bot: ", "\n"], answer: "Bot: " },
  /** https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-text-completion.html */
  claude: { system: ["", ""], user: ["\n\nHuman: ", ""], assistant: ["\n\nAssistant: ", ""], answer: "\n\nAssistant:" },
  /** https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-deepseek.html */
  deepseek: {
    start: "<｜begin▁of▁sentence｜>",
    system: ["", ""],
    user: ["<｜User｜>", ""],
    assistant: ["<｜Assistant｜>", "<｜end▁of▁sentence｜>"],
    answer: "<｜Assistant｜><think>\n",
  },
  /** https://qwen.readthedocs.io/en/latest/getting_started/concepts.html */
  chatml: {
    system: ["<|im_start|>system\n", "<|im_end|>\n"],
    user: ["<|im_start|>user\n", "<|im_end|>\n"],
    assistant: ["<|im_start|>assistant\n", "<|im_end|>\n"],
    answer: "<|im_start|>assistant\n",
  },
} as const satisfies Record<string, PromptTemplate>;

/** The messages of a chat as texts. What is no text is refused: no mark of a template can stand for it. */
export function turnsOf(messages: JsonValue | undefined): Turn[] {
  return objectsOf(messages).map((message) => ({ role: roleOf(message), text: textOfContent(message.content) }));
}

/** One text of a chat, up to where the answer begins. */
export function promptOf(template: PromptTemplate, turns: readonly Turn[]): string {
  const marked = turns.map(({ role, text }) => `${template[role][0]}${text}${template[role][1]}`);
  return `${template.start ?? ""}${marked.join("")}${template.answer}`;
}

function roleOf({ role, tool_calls: calls }: JsonObject): Turn["role"] {
  if (role === "tool" || role === "function" || objectsOf(calls).length > 0) {
    throw gatewayError(Reason.INVALID_REQUEST, "This model takes no tool calls and no results of tools.", {
      param: "messages",
    });
  }
  if (role === "assistant") return "assistant";
  return role === "system" || role === "developer" ? "system" : "user";
}

function textOfContent(content: JsonValue | undefined): string {
  if (!Array.isArray(content)) return textOf(content);
  const other = objectsOf(content).find(({ type }) => type !== "text");
  if (other === undefined)
    return objectsOf(content)
      .map(({ text }) => textOf(text))
      .join("");
  throw gatewayError(Reason.INVALID_REQUEST, `This model takes no content of type '${textOf(other.type)}'.`, {
    param: "messages",
  });
}
