import type { JsonObject } from "../../provider.ts";
import { isObject, objectOf, textOf } from "../json-reading.ts";

/** What stands around a message of one role. */
interface Marks {
  readonly before: string;
  readonly after: string;
}

/** How a model that only continues texts wants to see a conversation. */
export interface PromptTemplate {
  readonly begin: string;
  readonly system: Marks;
  readonly user: Marks;
  readonly assistant: Marks;
  /** Where the model's answer begins. */
  readonly end: string;
}

/** For a model of which nothing is known. */
const plain: PromptTemplate = {
  begin: "",
  system: { before: "", after: "\n\n" },
  user: { before: "User: ", after: "\n" },
  assistant: { before: "Assistant: ", after: "\n" },
  end: "Assistant:",
};

/** https://www.llama.com/docs/model-cards-and-prompt-formats/meta-llama-3/ */
const llama3: PromptTemplate = {
  begin: "<|begin_of_text|>",
  system: { before: "<|start_header_id|>system<|end_header_id|>\n\n", after: "<|eot_id|>" },
  user: { before: "<|start_header_id|>user<|end_header_id|>\n\n", after: "<|eot_id|>" },
  assistant: { before: "<|start_header_id|>assistant<|end_header_id|>\n\n", after: "<|eot_id|>" },
  end: "<|start_header_id|>assistant<|end_header_id|>\n\n",
};

/** https://www.ibm.com/granite/docs/models/granite */
const granite3: PromptTemplate = {
  begin: "",
  system: { before: "<|start_of_role|>system<|end_of_role|>", after: "<|end_of_text|>\n" },
  user: { before: "<|start_of_role|>user<|end_of_role|>", after: "<|end_of_text|>\n" },
  assistant: { before: "<|start_of_role|>assistant<|end_of_role|>", after: "<|end_of_text|>\n" },
  end: "<|start_of_role|>assistant<|end_of_role|>",
};

/** https://docs.mistral.ai/guides/tokenization/ */
const mistral: PromptTemplate = {
  begin: "<s>",
  system: { before: "[INST] ", after: " [/INST]" },
  user: { before: "[INST] ", after: " [/INST]" },
  assistant: { before: " ", after: "</s>" },
  end: "",
};

const templates: readonly (readonly [RegExp, PromptTemplate])[] = [
  [/llama-?3.*instruct/i, llama3],
  [/granite-?[34].*instruct/i, granite3],
  [/(?:mistral|mixtral).*instruct/i, mistral],
];

/** Parameters of a deployment that give its model's template, under LiteLLM's names. */
export const templateParams = [
  "roles",
  "initial_prompt_value",
  "final_prompt_value",
  "bos_token",
  "eos_token",
] as const;

/** The deployment's own template, else that of the model's family; undefined where nothing is known of the model. */
export function templateOf(model: string, asked: JsonObject): PromptTemplate | undefined {
  if (!isObject(asked.roles)) return templates.find(([pattern]) => pattern.test(model))?.[1];
  const roles = asked.roles;
  return {
    begin: `${textOf(asked.bos_token)}${textOf(asked.initial_prompt_value)}`,
    system: marksOf(objectOf(roles.system)),
    user: marksOf(objectOf(roles.user)),
    assistant: marksOf(objectOf(roles.assistant)),
    end: textOf(asked.final_prompt_value),
  };
}

function marksOf(role: JsonObject): Marks {
  return { before: textOf(role.pre_message), after: textOf(role.post_message) };
}

/** A turn of a conversation. */
export interface Turn {
  readonly role: "system" | "user" | "assistant";
  readonly text: string;
}

/** A conversation as one text. What a user says alone, to a model of which nothing is known, stays as it is. */
export function renderTurns(turns: readonly Turn[], template: PromptTemplate | undefined): string {
  const [first] = turns;
  if (template === undefined && turns.length === 1 && first?.role === "user") return first.text;
  const { begin, end, ...marks } = template ?? plain;
  const body = turns.map(({ role, text }) => `${marks[role].before}${text}${marks[role].after}`).join("");
  return `${begin}${body}${end}`;
}
