import { z } from "zod";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import table from "./providers.json" with { type: "json" };

const rename = z.strictObject({
  from: z.string(),
  to: z.string(),
  /** Which upstream models it holds for; absent means all. */
  models: z
    .string()
    .transform((source) => new RegExp(source))
    .optional(),
});

const row = z.strictObject({
  /** The part of a model name before the slash. */
  id: z.string().regex(/^[a-z0-9_-]+$/),
  /** The provider's own address, without a trailing slash. */
  base_url: z.url().refine((url) => !url.endsWith("/")),
  /** What is added to an address that a user gave without any path: for servers whose OpenAI dialect is not at the root. */
  root_path: z
    .string()
    .regex(/^(?:\/[^/]+)+$/)
    .optional(),
  /** The variable that holds the key. Absent means that the provider needs none. */
  credential_env: z.string().optional(),
  /** The header that carries the key. */
  credential_header: z.string().default("authorization"),
  /** What stands before the key in that header. */
  credential_prefix: z.string().default("Bearer "),
  /** The operations the provider has, and their paths below the base address. */
  paths: z.strictObject({
    chat_completions: z.string().optional(),
    completions: z.string().optional(),
    responses: z.string().optional(),
    embeddings: z.string().optional(),
  }),
  /**
   * `option`: a chat stream carries usage only where `stream_options.include_usage` asks for it: it is added where it is
   * missing, and the extra chunk taken out again. `always`: usage comes unasked; nothing is added, nothing taken out.
   */
  stream_usage: z.enum(["option", "always"]),
  /** The field that limits the output of a chat. */
  output_limit_field: z.string(),
  /** Fields the provider knows under another name. */
  renames: z.array(rename).default([]),
  /** Fields the provider refuses; they are left out where the caller set `drop_params`. */
  unsupported_params: z.array(z.string()).default([]),
  /** Whether `cache_control` marks may stand on the parts of a message. */
  keeps_cache_control: z.boolean().default(false),
  /** The field of an assistant message that gives the model its own reasoning back. */
  reasoning_field: z.string().optional(),
});

/** What is particular about one provider that speaks OpenAI's format. */
export type ProviderRow = z.infer<typeof row>;

/** Validates the table. Throws where it is malformed, naming the place. */
export function parseRows(value: unknown): ProviderRow[] {
  const rows = z.array(row).parse(value);
  const twice = rows.find(({ id }, index) => rows.findIndex((other) => other.id === id) !== index);
  if (twice !== undefined) throw new Error(`the provider table lists ${twice.id} twice`);
  return rows;
}

/** The rows of providers.json. */
export function loadRows(): ProviderRow[] {
  return parseRows(table);
}

/** The path of an operation, undefined where the provider does not have it. */
export function pathOf(provider: ProviderRow, operation: Operation): string | undefined {
  switch (operation) {
    case Operation.CHAT_COMPLETIONS:
      return provider.paths.chat_completions;
    case Operation.COMPLETIONS:
      return provider.paths.completions;
    case Operation.RESPONSES:
      return provider.paths.responses;
    case Operation.EMBEDDINGS:
      return provider.paths.embeddings;
    default:
      return undefined;
  }
}
