import { Secret } from "#chassis/secret.ts";
import { compileGlob, type Glob, globMatch } from "./registry/glob.ts";

/** What the router must know of a provider to send it calls without a `model_list`. How it speaks is the adapter's. */
export interface ProviderRow {
  readonly id: string;
  /** Other prefixes under which LiteLLM knows it. */
  readonly aliases?: readonly string[];
  /** Environment variables that may hold its key, in order. */
  readonly keyVariables: readonly string[];
  /** Environment variables that may redirect it, in order. */
  readonly baseUrlVariables: readonly string[];
  /** Whether it answers only calls that carry a key. */
  readonly needsKey: boolean;
  /** Nobody bills for it: its models cost 0 unless the configuration says otherwise. */
  readonly free?: boolean;
  /** Appended to a configured address that does not end with it. */
  readonly basePath?: string;
  /** Bare model names, patterns with `*`, that mean this provider. */
  readonly bareNames?: readonly string[];
  /** What it needs besides an address and a key. */
  readonly settings?: readonly ProviderSetting[];
  /** Secrets besides one key. Where one of them is set, the credential is a JSON object of all, `api_key` included. */
  readonly secrets?: readonly ProviderSetting[];
}

/** A parameter of a provider: of `litellm_params` by its name, else of the environment. */
export interface ProviderSetting {
  readonly name: string;
  /** Environment variables that may hold it, in order. */
  readonly variables: readonly string[];
}

/** One credential out of a key and further secrets: the key as it is where it is alone. */
export function joinSecrets(apiKey: Secret | undefined, secrets: ReadonlyMap<string, Secret>): Secret | undefined {
  if (secrets.size === 0) return apiKey;
  const all = Object.fromEntries([...secrets].map(([name, secret]) => [name, secret.reveal()]));
  return new Secret(JSON.stringify(apiKey === undefined ? all : { api_key: apiKey.reveal(), ...all }));
}

/** Variables and addresses as LiteLLM documents them per provider. */
export const providerTable: readonly ProviderRow[] = [
  {
    id: "openai",
    aliases: ["custom_openai", "openai_like"],
    keyVariables: ["OPENAI_API_KEY"],
    baseUrlVariables: ["OPENAI_BASE_URL", "OPENAI_API_BASE"],
    needsKey: true,
    bareNames: [
      "gpt-*",
      "chatgpt-*",
      "o1",
      "o1-*",
      "o3",
      "o3-*",
      "o4-*",
      "codex-*",
      "computer-use-*",
      "text-embedding-*",
      "davinci-*",
      "babbage-*",
      "dall-e-*",
      "tts-*",
      "whisper-*",
      "omni-moderation-*",
      "ft:gpt-*",
    ],
  },
  {
    id: "openrouter",
    keyVariables: ["OPENROUTER_API_KEY", "OR_API_KEY"],
    baseUrlVariables: ["OPENROUTER_API_BASE", "OPENROUTER_BASE_URL"],
    needsKey: true,
  },
  {
    id: "anthropic",
    keyVariables: ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"],
    baseUrlVariables: ["ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"],
    needsKey: true,
    bareNames: ["claude-*"],
  },
  {
    id: "groq",
    keyVariables: ["GROQ_API_KEY"],
    baseUrlVariables: ["GROQ_API_BASE", "GROQ_BASE_URL"],
    needsKey: true,
  },
  {
    id: "deepseek",
    keyVariables: ["DEEPSEEK_API_KEY"],
    baseUrlVariables: ["DEEPSEEK_API_BASE", "DEEPSEEK_BASE_URL"],
    needsKey: true,
    bareNames: ["deepseek-chat", "deepseek-reasoner", "deepseek-coder", "deepseek-v*"],
  },
  {
    id: "mistral",
    keyVariables: ["MISTRAL_API_KEY"],
    baseUrlVariables: ["MISTRAL_API_BASE", "MISTRAL_BASE_URL"],
    needsKey: true,
    bareNames: [
      "mistral-*",
      "ministral-*",
      "codestral-*",
      "devstral-*",
      "magistral-*",
      "pixtral-*",
      "open-mistral-*",
      "open-mixtral-*",
    ],
  },
  {
    id: "ollama",
    aliases: ["ollama_chat"],
    keyVariables: ["OLLAMA_API_KEY"],
    baseUrlVariables: ["OLLAMA_API_BASE", "OLLAMA_BASE_URL"],
    needsKey: false,
    free: true,
    basePath: "/v1",
  },
  { id: "mock", keyVariables: [], baseUrlVariables: [], needsKey: false, free: true },
];

/** A provider and the model's name there. */
export interface ProviderModel {
  readonly provider: ProviderRow;
  readonly model: string;
}

/** Finds providers by prefix or by well-known bare name. */
export interface ProviderNames {
  byId(id: string): ProviderRow | undefined;
  /** Splits `provider/model`, or recognizes a bare name; undefined where neither fits. */
  split(name: string): ProviderModel | undefined;
}

export function createProviderNames(table: readonly ProviderRow[] = providerTable): ProviderNames {
  const rows = new Map(table.flatMap((row) => [row.id, ...(row.aliases ?? [])].map((id) => [id, row] as const)));
  const bare: (readonly [Glob, ProviderRow])[] = table.flatMap((row) =>
    (row.bareNames ?? []).map((pattern) => [compileGlob(pattern), row] as const),
  );
  return {
    byId: (id) => rows.get(id),
    split(name) {
      const slash = name.indexOf("/");
      if (slash > 0) {
        const row = rows.get(name.slice(0, slash));
        const model = name.slice(slash + 1);
        return row === undefined || model === "" ? undefined : { provider: row, model };
      }
      const found = bare.find(([glob]) => globMatch(glob, name) !== undefined);
      return found === undefined ? undefined : { provider: found[1], model: name };
    },
  };
}

/** An address in the form the adapter wants: no trailing slash, the provider's base path in place. */
export function providerBaseUrl(row: ProviderRow, address: string): string {
  const url = address.replace(/\/+$/, "");
  return row.basePath === undefined || url.endsWith(row.basePath) ? url : `${url}${row.basePath}`;
}
