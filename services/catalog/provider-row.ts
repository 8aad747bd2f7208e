import { z } from "zod";

const variables = z.array(z.string().regex(/^[A-Z][A-Z0-9_]*$/, "a name in capitals, digits and _")).default([]);
const pattern = z.string().transform((source, context) => {
  try {
    return new RegExp(source);
  } catch {
    context.addIssue({ code: "custom", message: "a regular expression" });
    return z.NEVER;
  }
});

/** Without a trailing slash. `{name}` stands for a setting of that name. */
const address = z
  .string()
  .regex(/^https?:\/\/[\w.:{}-]+(?:\/[\w.{}-]+)*$/, "an http:// or https:// address without a slash at its end");

/** Below the base address. `{model}` stands for the model's name. */
const path = z.string().regex(/^[\w.{}-]+(?:[/:][\w.{}-]+)*$/);

const rowName = z.string().regex(/^[a-z0-9_-]+$/, "a name in small letters, digits, _ and -");
const field = z.string().regex(/^\w+$/, "the name of a field");
const headerName = z.string().regex(/^[a-z0-9-]+$/, "the name of a header in small letters");

/** A parameter of a provider: of `litellm_params` by its name, else of the environment, in order. */
const setting = z.strictObject({ name: z.string().regex(/^[a-z][a-z0-9_]*$/), variables });

/** `models`: which upstream models it holds for; absent means all. */
const rename = z.strictObject({ from: field, to: field, models: pattern.optional() });
const unsupported = z.union(
  [
    field.transform((name): { name: string; models?: RegExp } => ({ name })),
    z.strictObject({ name: field, models: pattern }),
  ],
  { error: "the name of a field, or { name, models }" },
);
const clamp = z.strictObject({ field, min: z.number().optional(), max: z.number().optional() });
const replacement = z.strictObject({ field, from: z.string(), to: z.string() });
const modelName = z.strictObject({ match: pattern, to: z.string() });

const operations = [
  "chat_completions",
  "completions",
  "responses",
  "messages",
  "generate_content",
  "embeddings",
  "rerank",
] as const;

/** What every provider has, however it speaks. */
const anyRow = {
  /** The part of a model name before the slash. */
  id: rowName,
  /** The name people know it by; absent means the id. */
  name: z.string().optional(),
  /** What a user has to know before they use it, in a sentence. */
  note: z.string().optional(),
  /** Other prefixes under which LiteLLM knows it. */
  aliases: z.array(rowName).default([]),
  /** Environment variables that may hold its key, in order. */
  key_variables: variables,
  /** Environment variables that may redirect it, in order. */
  base_url_variables: variables,
  /** Whether it answers only calls that carry a key. */
  needs_key: z.boolean().default(true),
  /**
   * Needs no key, and answers to `<id>/<model>` at its own address before anything of it is set. Others that need no key
   * answer where a variable or a deployment gives their address: a local port may be somebody else's.
   */
  always_served: z.boolean().default(false),
  /**
   * Finds credentials by itself where none are set: of the machine, a profile, a role. A deployment needs no key, and a
   * setting (a region) is enough for the provider to answer to `<id>/<model>`.
   */
  ambient_credentials: z.boolean().default(false),
  /** Nobody bills for it: its models cost 0 unless the configuration says otherwise. */
  free: z.boolean().default(false),
  /** Its id in the list of prices, `@pydantic/genai-prices`; absent where it is known there by its own. */
  price_id: z.string().optional(),
  /** Added to an address that a user gave without it: for servers whose OpenAI dialect is not at the root. */
  root_path: z
    .string()
    .regex(/^(?:\/[^/]+)+$/)
    .optional(),
  /** Bare model names, patterns with `*`, that mean this provider. */
  bare_names: z.array(z.string()).default([]),
  /** What it needs besides an address and a key. */
  settings: z.array(setting).default([]),
  /** Secrets besides one key. Where one of them is set, the credential is a JSON object of all, `api_key` included. */
  secrets: z.array(setting).default([]),
};

const nativeRow = z.strictObject({
  ...anyRow,
  /** A provider with code of its own. */
  kind: z.literal("native"),
  /** The operations it has. */
  operations: z.array(z.enum(operations)).default(["chat_completions", "messages"]),
  /** How the list of prices spells the models: the first pattern that fits is replaced. */
  price_names: z.array(modelName).default([]),
});

const openAiRow = z.strictObject({
  ...anyRow,
  /** A provider that speaks OpenAI's format: all that is particular about it stands in its row. */
  kind: z.literal("openai"),
  /** The provider's own address. Absent where every user has an address of their own. */
  base_url: address.optional(),
  /** How an address that users bring from elsewhere is spelled: the first pattern that fits is replaced. */
  address_names: z.array(modelName).default([]),
  /** The header that carries the key. */
  key_header: headerName.default("authorization"),
  /** What stands before the key in that header. */
  key_prefix: z.string().default("Bearer "),
  /** What LiteLLM's users write before a key to tell its kind, and what is no part of it. */
  key_mark: z.string().optional(),
  /** What its key has to be exchanged by; absent where the key is sent as it is. */
  authorizer: z.enum(["copilot-token"]).optional(),
  /** Further headers. `{name}` stands for a setting, `{api_key}` for the key; one that is not set leaves the header out. */
  headers: z.record(headerName, z.string()).default({}),
  /** The operations the provider has, and their paths. */
  paths: z.strictObject({
    chat_completions: path.optional(),
    completions: path.optional(),
    responses: path.optional(),
    embeddings: path.optional(),
    rerank: path.optional(),
  }),
  /** Chat models that have a path of their own: `$1` stands for what the pattern caught of the model's name. */
  chat_paths: z
    .array(z.strictObject({ models: pattern, path: z.string().regex(/^[\w.$-]+(?:\/[\w.$-]+)*$/) }))
    .default([]),
  /** Where ranks come from another address, `{model}` in it, or in other words than Cohere's. */
  rerank: z
    .strictObject({
      address: address.optional(),
      form: z.enum(["cohere", "deepinfra", "nvidia"]).default("cohere"),
    })
    .optional(),
  /** How the provider spells the models: the first pattern that fits is replaced. */
  model_names: z.array(modelName).default([]),
  /**
   * `option`: a chat stream carries usage only where `stream_options.include_usage` asks for it: it is added where it is
   * missing, and the extra chunk taken out again. `always`: usage comes unasked; nothing is added, nothing taken out.
   */
  stream_usage: z.enum(["option", "always"]).default("option"),
  /** The field that limits the output of a chat. */
  output_limit_field: field.default("max_tokens"),
  /** Fields of a chat that the provider knows under another name. */
  renames: z.array(rename).default([]),
  /** Values of a chat that the provider spells differently. */
  replacements: z.array(replacement).default([]),
  /** Numbers of a chat that the provider takes within narrower bounds. */
  clamps: z.array(clamp).default([]),
  /** Fields of a chat that always have this value. */
  fixed: z.record(field, z.json()).default({}),
  /** Fields of a chat that change nothing and that the provider refuses: always left out. */
  ignored_params: z.array(field).default([]),
  /** Fields of a chat that the provider cannot take: refused, or left out where the caller set `drop_params`. */
  unsupported_params: z.array(unsupported).default([]),
  /** Whether a content that is a list of texts alone has to be one string. */
  flattens_text: z.boolean().default(false),
  /** Whether the `name` of a message has to be left out. */
  drops_message_names: z.boolean().default(false),
  /** Whether a message may be a `developer`'s; else it becomes the `system`'s. */
  knows_developer_role: z.boolean().default(true),
  /** Whether `cache_control` marks may stand on the parts of a message. */
  keeps_cache_control: z.boolean().default(false),
  /** The field of an assistant message that gives the model its own reasoning back. */
  reasoning_field: field.optional(),
});

/** A row of the configuration: like one of the catalog, with a shorter form for what speaks OpenAI's format throughout. */
export const configuredRowSchema = openAiRow.extend({
  kind: z.literal("openai").default("openai"),
  paths: openAiRow.shape.paths.default({ chat_completions: "chat/completions" }),
});

/** One row of the catalog, as a file has it. */
export const providerRowSchema = z.discriminatedUnion("kind", [nativeRow, openAiRow]);

export type CatalogRow = z.infer<typeof providerRowSchema>;

/** What is particular about one provider that speaks OpenAI's format. */
export type OpenAiRow = z.infer<typeof openAiRow>;
