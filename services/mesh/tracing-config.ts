import { ConfigurationError, type Environment, flag, text } from "#chassis/environment.ts";
import { Secret } from "#chassis/secret.ts";
import type { TracingConfig } from "#chassis/tracing.ts";

/**
 * Reads OpenTelemetry's own variables,
 * https://opentelemetry.io/docs/specs/otel/protocol/exporter/ and
 * https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/. Undefined where nothing is traced.
 */
export function readTracingConfig(env: Environment): TracingConfig | undefined {
  if (flag(env, "OTEL_SDK_DISABLED", false) || text(env, "OTEL_TRACES_EXPORTER") === "none") return undefined;
  const url = readUrl(env);
  if (url === undefined) return undefined;
  return {
    url,
    headers: readHeaders(env),
    serviceName: text(env, "OTEL_SERVICE_NAME") ?? "sluice",
    ratio: readRatio(env),
    upstream: flag(env, "SLUICE_TRACE_UPSTREAM", false),
  };
}

const endpointVariables = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"] as const;

/** The address of traces is taken as it is, the one of all signals is a base. */
function readUrl(env: Environment): string | undefined {
  for (const variable of endpointVariables) {
    const value = text(env, variable);
    if (value === undefined) continue;
    if (!/^https?:$/.test(URL.parse(value)?.protocol ?? "")) {
      throw new ConfigurationError(`${variable} must be an http:// or https:// address`);
    }
    return variable === endpointVariables[0] ? value : `${value.replace(/\/+$/, "")}/v1/traces`;
  }
  return undefined;
}

/** `name=value,name=value`, values percent-encoded. */
function readHeaders(env: Environment): ReadonlyMap<string, Secret> {
  const variable = "OTEL_EXPORTER_OTLP_HEADERS";
  const entries = (text(env, "OTEL_EXPORTER_OTLP_TRACES_HEADERS", variable) ?? "").split(",");
  return new Map(
    entries.flatMap((entry): [string, Secret][] => {
      if (entry.trim() === "") return [];
      const [, name, value] = /^\s*([\w-]+)\s*=\s*([\x21-\x7e][\x20-\x7e]*?)\s*$/.exec(entry) ?? [];
      if (name === undefined || value === undefined || /%(?![\da-f]{2})/i.test(value)) {
        throw new ConfigurationError(`${variable} must be name=value, several separated by commas`);
      }
      return [[name.toLowerCase(), new Secret(percentDecoded(value))]];
    }),
  );
}

function percentDecoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

function readRatio(env: Environment): number {
  const sampler = text(env, "OTEL_TRACES_SAMPLER") ?? "parentbased_always_on";
  const kind = sampler.replace(/^parentbased_/, "");
  if (kind === "always_on") return 1;
  if (kind === "always_off") return 0;
  const ratio = Number(text(env, "OTEL_TRACES_SAMPLER_ARG") ?? 1);
  if (kind === "traceidratio" && ratio >= 0 && ratio <= 1) return ratio;
  throw new ConfigurationError(
    "OTEL_TRACES_SAMPLER must be always_on, always_off or traceidratio, with OTEL_TRACES_SAMPLER_ARG from 0 to 1",
  );
}
