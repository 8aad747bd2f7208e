import type { CatalogRow } from "./provider-row.ts";

/** What a user wants to know of a provider before they use it. */
export interface ProviderDescription {
  /** What stands before the slash of a model's name. */
  readonly id: string;
  readonly name: string;
  /** What a user has to know before they use it; empty where there is nothing. */
  readonly note: string;
  /** Other ids for it. */
  readonly aliases: readonly string[];
  /** `openai`: it speaks OpenAI's format; `native`: one of its own. */
  readonly kind: "openai" | "native";
  readonly operations: readonly string[];
  /** Null where every user has an address of their own, or where the provider's code makes it. */
  readonly base_url: string | null;
  readonly needs_key: boolean;
  /** Environment variables, the first that is set counts. */
  readonly key_variables: readonly string[];
  readonly base_url_variables: readonly string[];
  /** Parameters of `litellm_params` besides `api_key` and `api_base`, and the variables that may hold them. */
  readonly settings: readonly { readonly name: string; readonly variables: readonly string[] }[];
  /** Parameters that it refuses. */
  readonly unsupported_params: readonly string[];
}

export function describeProvider(row: CatalogRow): ProviderDescription {
  const isOpenAi = row.kind === "openai";
  return {
    id: row.id,
    name: row.name ?? row.id,
    note: row.note ?? "",
    aliases: row.aliases,
    kind: row.kind,
    operations: withTranslated(isOpenAi ? Object.keys(row.paths) : row.operations),
    base_url: (isOpenAi ? row.base_url : undefined) ?? null,
    needs_key: row.needs_key,
    key_variables: row.key_variables,
    base_url_variables: row.base_url_variables,
    settings: [...row.settings, ...row.secrets],
    unsupported_params: isOpenAi ? row.unsupported_params.map(({ name }) => name) : [],
  };
}

/** Messages and generateContent are translated to a chat. */
function withTranslated(own: readonly string[]): readonly string[] {
  return own.includes("chat_completions") ? [...new Set([...own, "messages", "generate_content"])] : own;
}
