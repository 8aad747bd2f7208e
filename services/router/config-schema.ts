import { z } from "zod";
import { flag, numberIn } from "#chassis/file-values.ts";
import { Secret } from "#chassis/secret.ts";
import { ratePerToken } from "./prices/overrides.ts";

/** The shapes of LiteLLM's `config.yaml`, as far as routing reads them. Absent, null and unset are the same. */

const maxSeconds = 2_000_000;

const positive = "expected a positive integer";
const capacity = numberIn(z.int(positive).positive(positive));
const zeroOrMore = "expected a whole number, 0 or more";
const count = numberIn(z.int(zeroOrMore).nonnegative(zeroOrMore));
const timeText = `expected a number of seconds above 0 and up to ${maxSeconds}`;
const seconds = numberIn(
  z
    .number(timeText)
    .positive(timeText)
    .max(maxSeconds, timeText)
    .transform((value) => Math.ceil(value * 1000)),
);
const pauseText = `expected a number of seconds from 0 to ${maxSeconds}`;
const pause = numberIn(
  z
    .number(pauseText)
    .nonnegative(pauseText)
    .max(maxSeconds, pauseText)
    .transform((value) => Math.ceil(value * 1000)),
);
const text = z.string("expected a string").nullish();
const names = z.array(z.string("expected a string"), "expected a list of names").nullish();
const name = z
  .string("expected a string")
  .min(1, "expected a string that is not empty")
  .max(256, "expected at most 256 characters");
const price = z
  .custom<number | string>(
    (value) => (typeof value === "number" || typeof value === "string") && ratePerToken(value) !== undefined,
    "expected a price in US dollars per token, 0 or more",
  )
  .nullish();
const address = z
  .string("expected an http:// or https:// address")
  .refine(
    (value) => /^(?:http|grpc)s?:$/.test(URL.parse(value)?.protocol ?? ""),
    "expected an http:// or https:// address",
  )
  .nullish();
const header = z.union([z.string(), z.number(), z.boolean()], "expected a string").transform(String);
const headers = z.record(z.string(), header, "expected a mapping of header names to strings").nullish();
const secret = z
  .string("expected a string")
  .transform((value) => new Secret(value))
  .nullish();

export const priceSchemas = {
  input_cost_per_token: price,
  output_cost_per_token: price,
  cache_read_input_token_cost: price,
  input_cost_per_token_cache_hit: price,
  cache_creation_input_token_cost: price,
  cache_creation_input_token_cost_above_1hr: price,
  input_cost_per_audio_token: price,
  input_cost_per_query: price,
  output_cost_per_audio_token: price,
  output_cost_per_reasoning_token: price,
};

export const litellmParamsSchema = z.looseObject(
  {
    model: name,
    custom_llm_provider: text,
    api_key: secret,
    api_base: address,
    base_url: address,
    organization: text,
    rpm: capacity,
    tpm: capacity,
    weight: numberIn(z.number("expected a number, 0 or more").nonnegative("expected a number, 0 or more")),
    order: numberIn(z.int("expected a whole number")),
    timeout: seconds,
    stream_timeout: seconds,
    max_retries: count,
    num_retries: count,
    cooldown_time: pause,
    drop_params: flag,
    allowed_openai_params: names,
    mock_response: text,
    litellm_credential_name: text,
    extra_headers: headers,
    headers,
    extra_body: z.record(z.string(), z.unknown(), "expected a mapping").nullish(),
    ...priceSchemas,
  },
  "expected a mapping",
);

export const modelInfoSchema = z.looseObject(
  {
    id: z.union([z.string(), z.number()], "expected a string").transform(String).nullish(),
    base_model: text,
    max_tokens: capacity,
    max_input_tokens: capacity,
    max_output_tokens: capacity,
    mode: text,
    access_groups: names,
    team_id: text,
    team_public_model_name: text,
    blocked: flag,
    health_check_model: text,
    health_check_timeout: seconds,
    health_check_max_tokens: capacity,
    disable_background_health_check: flag,
    ...priceSchemas,
  },
  "expected a mapping",
);

const jsonMapping = z.record(z.string(), z.unknown(), "expected a mapping").nullish();

export const credentialListSchema = z
  .array(
    z.looseObject(
      { credential_name: name, credential_values: jsonMapping, credential_info: jsonMapping },
      "expected a mapping with credential_name and credential_values",
    ),
    "expected a list of credentials",
  )
  .max(10_000, "expected at most 10000 entries")
  .nullish();

/** What of `general_settings` concerns the router: checks of its deployments. */
export const healthSettingsSchema = z
  .looseObject({
    background_health_checks: flag,
    health_check_interval: seconds,
    health_check_details: flag,
    health_check_concurrency: capacity,
  })
  .nullish();

export const modelListSchema = z
  .array(
    z.looseObject(
      { model_name: name, litellm_params: litellmParamsSchema, model_info: modelInfoSchema.nullish() },
      "expected a mapping with model_name and litellm_params",
    ),
    "expected a list of models",
  )
  .max(10_000, "expected at most 10000 entries")
  .nullish();

const fallbackTarget = z.union(
  [name, z.looseObject({ model: name })],
  "expected a model name, or a mapping with `model`",
);
const fallbackList = z
  .array(
    z.record(z.string(), z.array(fallbackTarget, "expected a list of model names")),
    "expected a list such as [{model: [other-model]}]",
  )
  .nullish();

const fallbackSettings = {
  num_retries: count,
  allowed_fails: count,
  fallbacks: fallbackList,
  context_window_fallbacks: fallbackList,
  content_policy_fallbacks: fallbackList,
  default_fallbacks: z.array(fallbackTarget, "expected a list of model names").nullish(),
  max_fallbacks: count,
};

export const routingStrategies = [
  "simple-shuffle",
  "least-busy",
  "usage-based-routing",
  "usage-based-routing-v2",
  "latency-based-routing",
  "cost-based-routing",
] as const;

export const routerSettingsSchema = z
  .looseObject(
    {
      ...fallbackSettings,
      routing_strategy: z.enum(routingStrategies).nullish(),
      timeout: seconds,
      stream_timeout: seconds,
      retry_after: pause,
      cooldown_time: pause,
      disable_cooldowns: flag,
      model_group_alias: z
        .record(z.string(), z.union([name, z.looseObject({ model: name, hidden: flag })], "expected a model name"))
        .nullish(),
    },
    "expected a mapping",
  )
  .nullish();

export const litellmSettingsSchema = z
  .looseObject(
    {
      ...fallbackSettings,
      drop_params: flag,
      request_timeout: seconds,
      timezone: text,
      ssl_verify: z.union([flag, text]),
      enable_azure_ad_token_refresh: flag,
    },
    "expected a mapping",
  )
  .nullish();

export type LitellmParams = z.output<typeof litellmParamsSchema>;
export type ModelInfo = z.output<typeof modelInfoSchema>;
export type ModelListEntry = NonNullable<z.output<typeof modelListSchema>>[number];
export type RouterSettingsSection = NonNullable<z.output<typeof routerSettingsSchema>>;
export type LitellmSettingsSection = NonNullable<z.output<typeof litellmSettingsSchema>>;
export type FallbackList = z.output<typeof fallbackList>;
