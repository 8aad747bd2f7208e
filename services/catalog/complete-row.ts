import type { ModelSpelling } from "./model-name.ts";
import type { WrittenNativeRow, WrittenOpenAiRow, WrittenRow } from "./provider-row.ts";

/** A row as the rest reads it: what the file leaves out filled in, patterns compiled. The row is of the right form. */
export function completeRow(row: WrittenRow) {
  return row.kind === "openai" ? completeOpenAiRow(row) : completeNativeRow(row);
}

export function completeOpenAiRow(row: WrittenOpenAiRow) {
  const { rerank } = row;
  return {
    key_header: "authorization",
    key_prefix: "Bearer ",
    stream_usage: "option" as const,
    output_limit_field: "max_tokens",
    headers: {},
    replacements: [],
    clamps: [],
    fixed: {},
    ignored_params: [],
    flattens_text: false,
    drops_message_names: false,
    knows_developer_role: true,
    needs_media_bytes: false,
    keeps_cache_control: false,
    ...row,
    ...anyFields(row),
    address_names: spellings(row.address_names),
    chat_paths: (row.chat_paths ?? []).map(({ models, path }) => ({ models: new RegExp(models), path })),
    rerank: rerank === undefined ? undefined : { ...rerank, form: rerank.form ?? "cohere" },
    model_names: spellings(row.model_names),
    renames: (row.renames ?? []).map(({ models, ...names }) => ({ ...names, ...forModels(models) })),
    unsupported_params: (row.unsupported_params ?? []).map((param) =>
      typeof param === "string" ? { name: param } : { name: param.name, ...forModels(param.models) },
    ),
  };
}

function completeNativeRow(row: WrittenNativeRow) {
  return {
    operations: ["chat_completions", "messages"],
    ...row,
    ...anyFields(row),
    price_names: spellings(row.price_names),
  };
}

function anyFields(row: WrittenRow) {
  return {
    aliases: row.aliases ?? [],
    key_variables: row.key_variables ?? [],
    base_url_variables: row.base_url_variables ?? [],
    needs_key: row.needs_key ?? true,
    always_served: row.always_served ?? false,
    ambient_credentials: row.ambient_credentials ?? false,
    free: row.free ?? false,
    bare_names: row.bare_names ?? [],
    settings: named(row.settings),
    secrets: named(row.secrets),
  };
}

function named(settings: WrittenRow["settings"] = []) {
  return settings.map(({ name, variables = [] }) => ({ name, variables }));
}

function spellings(names: WrittenNativeRow["price_names"] = []): ModelSpelling[] {
  return names.map(({ match, to }) => ({ match: new RegExp(match), to }));
}

function forModels(source: string | undefined): { models?: RegExp } {
  return source === undefined ? {} : { models: new RegExp(source) };
}
