import assert from "node:assert/strict";
import { test } from "node:test";
import { readTracingConfig } from "./tracing-config.ts";

const base = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" };

test("nothing is traced unless a collector is named", () => {
  for (const env of [{}, { ...base, OTEL_SDK_DISABLED: "true" }, { ...base, OTEL_TRACES_EXPORTER: "none" }]) {
    assert.equal(readTracingConfig(env), undefined);
  }
});

test("addresses, headers and parts", () => {
  const read = (env: Record<string, string>) => readTracingConfig({ ...base, ...env });
  assert.equal(read({})?.url, "http://collector:4318/v1/traces");
  assert.equal(read({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "https://a/b" })?.url, "https://a/b");
  assert.equal(read({})?.ratio, 1);
  const part = { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.25" };
  assert.equal(read(part)?.ratio, 0.25);
  const headers = read({ OTEL_EXPORTER_OTLP_HEADERS: "Authorization=Bearer%20a, x-b = c=d " })?.headers;
  assert.deepEqual(
    [...(headers ?? [])].map(([name, secret]) => [name, secret.reveal()]),
    [
      ["authorization", "Bearer a"],
      ["x-b", "c=d"],
    ],
  );
});

test("what is wrong is named", () => {
  const cases: [Record<string, string>, RegExp][] = [
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4318" }, /OTEL_EXPORTER_OTLP_ENDPOINT must be/],
    [{ OTEL_TRACES_SAMPLER: "jaeger_remote" }, /OTEL_TRACES_SAMPLER must be/],
    [{ OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "2" }, /OTEL_TRACES_SAMPLER_ARG/],
    [{ OTEL_EXPORTER_OTLP_HEADERS: "nothing" }, /OTEL_EXPORTER_OTLP_HEADERS must be/],
  ];
  for (const [env, message] of cases) assert.throws(() => readTracingConfig({ ...base, ...env }), message);
});
