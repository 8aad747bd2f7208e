import { z } from "zod";
import { completeOpenAiRow, completeRow } from "./complete-row.ts";

const operations = [
  "chat_completions",
  "completions",
  "responses",
  "messages",
  "generate_content",
  "embeddings",
  "rerank",
] as const;

/** What the fields of a row are made of. */
function kinds() {
  const pattern = z.string().refine(isPattern, "a regular expression");
  const variables = z.array(z.string().regex(/^[A-Z][A-Z0-9_]*$/, "a name in capitals, digits and _")).optional();
  const field = z.string().regex(/^\w+$/, "the name of a field");
  return {
    pattern,
    variables,
    field,
    /** Without a trailing slash. `{name}` stands for a setting of that name. */
    address: z
      .string()
      .regex(/^https?:\/\/[\w.:{}-]+(?:\/[\w.{}-]+)*$/, "an http:// or https:// address without a slash at its end"),
    /** Below the base address. `{model}` stands for the model's name. */
    path: z.string().regex(/^[\w.{}-]+(?:[/:][\w.{}-]+)*$/),
    rowName: z.string().regex(/^[a-z0-9_-]+$/, "a name in small letters, digits, _ and -"),
    headerName: z.string().regex(/^[a-z0-9-]+$/, "the name of a header in small letters"),
    /** A parameter of a provider: of `litellm_params` by its name, else of the environment, in order. */
    setting: z.strictObject({ name: z.string().regex(/^[a-z][a-z0-9_]*$/), variables }),
    modelName: z.strictObject({ match: pattern, to: z.string() }),
  };
}

function isPattern(source: string): boolean {
  try {
    return new RegExp(source) instanceof RegExp;
  } catch {
    return false;
  }
}

/** What every provider has, however it speaks. What a row leaves out, `complete-row.ts` fills in. */
function anyFields({ variables, rowName, setting }: ReturnType<typeof kinds>) {
  return {
    /** The part of a model name before the slash. */
    id: rowName,
    /** The name people know it by; absent means the id. */
    name: z.string().optional(),
    /** What a user has to know before they use it, in a sentence. */
    note: z.string().optional(),
    /** Other prefixes under which LiteLLM knows it. */
    aliases: z.array(rowName).optional(),
    /** Environment variables that may hold its key, in order. */
    key_variables: variables,
    /** Environment variables that may redirect it, in order. */
    base_url_variables: variables,
    /** Whether it answers only calls that carry a key. */
    needs_key: z.boolean().optional(),
    /**
     * Needs no key, and answers to `<id>/<model>` at its own address before anything of it is set. Others that need no key
     * answer where a variable or a deployment gives their address: a local port may be somebody else's.
     */
    always_served: z.boolean().optional(),
    /**
     * Finds credentials by itself where none are set: of the machine, a profile, a role. A deployment needs no key, and a
     * setting (a region) is enough for the provider to answer to `<id>/<model>`.
     */
    ambient_credentials: z.boolean().optional(),
    /** Nobody bills for it: its models cost 0 unless the configuration says otherwise. */
    free: z.boolean().optional(),
    /** Its id in the list of prices, `@pydantic/genai-prices`; absent where it is known there by its own. */
    price_id: z.string().optional(),
    /** Added to an address that a user gave without it: for servers whose OpenAI dialect is not at the root. */
    root_path: z
      .string()
      .regex(/^(?:\/[^/]+)+$/)
      .optional(),
    /** Bare model names, patterns with `*`, that mean this provider. */
    bare_names: z.array(z.string()).optional(),
    /** What it needs besides an address and a key. */
    settings: z.array(setting).optional(),
    /** Secrets besides one key. Where one of them is set, the credential is a JSON object of all, `api_key` included. */
    secrets: z.array(setting).optional(),
  };
}

function nativeRow(kind = kinds()) {
  return z.strictObject({
    ...anyFields(kind),
    /** A provider with code of its own. */
    kind: z.literal("native"),
    /** The operations it has. */
    operations: z.array(z.enum(operations)).optional(),
    /** How the list of prices spells the models: the first pattern that fits is replaced. */
    price_names: z.array(kind.modelName).optional(),
  });
}

/** Where a provider that speaks OpenAI's format is, and how it is called. */
function addressFields({ pattern, address, path, headerName, modelName }: ReturnType<typeof kinds>) {
  return {
    /** A provider that speaks OpenAI's format: all that is particular about it stands in its row. */
    kind: z.literal("openai"),
    /** The provider's own address. Absent where every user has an address of their own. */
    base_url: address.optional(),
    /** How an address that users bring from elsewhere is spelled: the first pattern that fits is replaced. */
    address_names: z.array(modelName).optional(),
    /** The header that carries the key. */
    key_header: headerName.optional(),
    /** What stands before the key in that header. */
    key_prefix: z.string().optional(),
    /** What LiteLLM's users write before a key to tell its kind, and what is no part of it. */
    key_mark: z.string().optional(),
    /** What its key has to be exchanged by; absent where the key is sent as it is. */
    authorizer: z.enum(["copilot-token"]).optional(),
    /** Further headers. `{name}` stands for a setting, `{api_key}` for the key; one that is not set leaves the header out. */
    headers: z.record(headerName, z.string()).optional(),
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
      .optional(),
    /** Where ranks come from another address, `{model}` in it, or in other words than Cohere's. */
    rerank: z
      .strictObject({
        address: address.optional(),
        form: z.enum(["cohere", "deepinfra", "nvidia"]).optional(),
      })
      .optional(),
    /** How the provider spells the models: the first pattern that fits is replaced. */
    model_names: z.array(modelName).optional(),
  };
}

/** What is particular about its chat completions. */
function chatFields({ pattern, field }: ReturnType<typeof kinds>) {
  const clamp = z.strictObject({ field, min: z.number().optional(), max: z.number().optional() });
  const replacement = z.strictObject({ field, from: z.string(), to: z.string() });
  /** `models`: which upstream models it holds for; absent means all. */
  const rename = z.strictObject({ from: field, to: field, models: pattern.optional() });
  const unsupported = z.union([field, z.strictObject({ name: field, models: pattern })], {
    error: "the name of a field, or { name, models }",
  });
  return {
    /**
     * `option`: a chat stream carries usage only where `stream_options.include_usage` asks for it: it is added where it is
     * missing, and the extra chunk taken out again. `always`: usage comes unasked; nothing is added, nothing taken out.
     */
    stream_usage: z.enum(["option", "always"]).optional(),
    /** The field that limits the output of a chat. */
    output_limit_field: field.optional(),
    /** Fields of a chat that the provider knows under another name. */
    renames: z.array(rename).optional(),
    /** Values of a chat that the provider spells differently. */
    replacements: z.array(replacement).optional(),
    /** Numbers of a chat that the provider takes within narrower bounds. */
    clamps: z.array(clamp).optional(),
    /** Fields of a chat that always have this value. */
    fixed: z.record(field, z.json()).optional(),
    /** Fields of a chat that change nothing and that the provider refuses: always left out. */
    ignored_params: z.array(field).optional(),
    /** Fields of a chat that the provider cannot take: refused, or left out where the caller set `drop_params`. */
    unsupported_params: z.array(unsupported).optional(),
    /** Whether a content that is a list of texts alone has to be one string. */
    flattens_text: z.boolean().optional(),
    /** Whether the `name` of a message has to be left out. */
    drops_message_names: z.boolean().optional(),
    /** Whether a message may be a `developer`'s; else it becomes the `system`'s. */
    knows_developer_role: z.boolean().optional(),
    /** Whether it takes images and files as bytes alone: what stands at a web address is fetched for it. */
    needs_media_bytes: z.boolean().optional(),
    /** Whether `cache_control` marks may stand on the parts of a message. */
    keeps_cache_control: z.boolean().optional(),
    /** The field of an assistant message that gives the model its own reasoning back. */
    reasoning_field: field.optional(),
  };
}

function openAiRow(kind = kinds()) {
  return z.strictObject({ ...anyFields(kind), ...addressFields(kind), ...chatFields(kind) });
}

/** A row of a provider with code of its own, as a file has it. */
export type WrittenNativeRow = z.infer<ReturnType<typeof nativeRow>>;

/** A row of a provider that speaks OpenAI's format, as a file has it. */
export type WrittenOpenAiRow = z.infer<ReturnType<typeof openAiRow>>;

export type WrittenRow = WrittenNativeRow | WrittenOpenAiRow;

/**
 * A row of the configuration: like one of the catalog, with a shorter form for what speaks OpenAI's format throughout.
 * The schemas are built when they are first used: most gateways start without either.
 */
export const configuredRowSchema = z.lazy(() => {
  const row = openAiRow();
  return row
    .extend({
      kind: row.shape.kind.default("openai"),
      paths: row.shape.paths.default({ chat_completions: "chat/completions" }),
    })
    .transform(completeOpenAiRow);
});

/** One row of the catalog, as a file has it. */
export const providerRowSchema = z.lazy(() =>
  z.discriminatedUnion("kind", [nativeRow(), openAiRow()]).transform(completeRow),
);

/** One row of the catalog. */
export type CatalogRow = ReturnType<typeof completeRow>;
/** What is particular about one provider that speaks OpenAI's format. */
export type OpenAiRow = ReturnType<typeof completeOpenAiRow>;
