import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { z } from "zod";
import { loadYamlFile, parseYaml, readSection } from "./yaml-file.ts";

test("references are replaced by variables, and missing ones are listed", () => {
  const text = "a: os.environ/SET\nb: [1, {c: os.environ/UNSET}]\nd: prefix os.environ/SET\n";
  const document = parseYaml(text, "config.yaml", { SET: "value" });
  assert.deepEqual(document.value, { a: "value", b: [1, { c: null }], d: "prefix os.environ/SET" });
  assert.deepEqual(document.missing, [{ path: ["b", 1, "c"], name: "UNSET" }]);
});

test("a file may bring variables of its own", () => {
  const document = parseYaml(
    "vars: {A: x}\nb: os.environ/A\n",
    "c.yaml",
    (raw) => z.object({ vars: z.record(z.string(), z.string()) }).parse(raw).vars,
  );
  assert.deepEqual(document.value, { vars: { A: "x" }, b: "x" });
});

test("a problem names line, path, what was expected and what stood there", () => {
  const text = `model_list:
  - model_name: a
    litellm_params:
      model: openai/a
      rpm: ten
      api_key: 17
`;
  const whole = z.int("expected a positive integer");
  const params = z.looseObject({ rpm: whole, api_key: z.string(), missing: z.boolean() });
  const schema = z.array(z.looseObject({ litellm_params: params }));
  const document = parseYaml(text, "config.yaml", {});
  assert.throws(() => readSection(document, ["model_list"], schema), {
    name: "ConfigurationError",
    message: `config.yaml:5: model_list[0].litellm_params.rpm: expected a positive integer, got "ten"
config.yaml:6: model_list[0].litellm_params.api_key: expected a string, got a number
config.yaml:4: model_list[0].litellm_params.missing: expected true or false, got nothing`,
  });
});

test("what is no YAML is refused with its line", async (t) => {
  const bomb = `a: &a [${"x, ".repeat(20)}]\n${[..."bcdefg"].map((c, i) => `${c}: &${c} [${`*${"abcdefg"[i]}, `.repeat(20)}]`).join("\n")}\n`;
  const cases: readonly [name: string, text: string, message: RegExp][] = [
    ["a broken list", "a: 1\nb: [1\nc: 2\n", /^x\.yaml:3: malformed YAML/],
    ["the same key twice", "a: 1\na: 2\n", /^x\.yaml:2: malformed YAML: Map keys must be unique/],
    ["aliases that multiply", bomb, /^x\.yaml: Excessive alias count/],
    ["endless nesting", `a: ${"[".repeat(100)}${"]".repeat(100)}`, /nested too deeply/],
  ];
  for (const [name, text, message] of cases) {
    await t.test(name, () =>
      assert.throws(() => parseYaml(text, "x.yaml", {}), { name: "ConfigurationError", message }),
    );
  }
});

test("a file is read; one that is too large or not there is refused", async () => {
  const folder = await mkdtemp(join(tmpdir(), "yaml-file-"));
  try {
    await writeFile(join(folder, "a.yaml"), "a: os.environ/A\n");
    assert.deepEqual((await loadYamlFile(join(folder, "a.yaml"), { A: "1" })).value, { a: "1" });
    await writeFile(join(folder, "big.yaml"), `# ${"x".repeat(11 << 20)}`);
    await assert.rejects(loadYamlFile(join(folder, "big.yaml"), {}), /larger than 10 MB/);
    await assert.rejects(loadYamlFile(join(folder, "none.yaml"), {}), /cannot be read/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
