import { readFileSync, writeFileSync } from "node:fs";
import { catalog } from "#catalog/catalog.ts";
import { leftOut } from "#catalog/left-out.ts";
import { describeProvider, type ProviderDescription } from "#catalog/provider-description.ts";

/** Writes docs/providers.md from the catalog; with `--check` fails where the page is not what the catalog says now. */
const file = new URL("../docs/providers.md", import.meta.url);

const intro = `# Providers

A model is named \`<provider>/<model>\`, here or in \`litellm_params.model\`. This page is made from
\`services/catalog/providers.json\` by \`npm run docs\`; \`GET /public/providers\` answers the same as JSON.

Any other server that speaks OpenAI's format: \`openai/<model>\` with \`api_base\`, or a row in the
\`providers\` section of the configuration, see [configuration](configuration.md).

Whatever can chat also answers to clients that speak Google's \`generateContent\`, whatever embeds to its \`embedContent\`.

The key and the address of a deployment are \`api_key\` and \`api_base\` of its \`litellm_params\`, else the first of the
variables that is set. A \`{name}\` in an address is the setting of that name.
`;

const operationNames: Readonly<Record<string, string>> = {
  chat_completions: "chat",
  completions: "completions",
  responses: "responses",
  messages: "messages",
  embeddings: "embeddings",
  rerank: "rerank",
};

const page = render(catalog.map(describeProvider).sort((a, b) => (a.id < b.id ? -1 : 1)));
if (!process.argv.includes("--check")) writeFileSync(file, page);
else if (readFileSync(file, "utf8") !== page) {
  console.error('docs/providers.md differs from the catalog, run "npm run docs"');
  process.exitCode = 1;
}

function render(providers: readonly ProviderDescription[]): string {
  const head = "| provider | key | address | can |\n|---|---|---|---|\n";
  const rows = providers.map(renderRow).join("\n");
  return `${intro}\n${providers.length} providers:\n\n${head}${rows}\n\n${renderLeftOut()}`;
}

function renderLeftOut(): string {
  const rows = leftOut.map(({ id, name, reason }) => `| ${name}: ${code(`${id}/`)} | ${reason} |`);
  return `Not offered, though LiteLLM lists them for chat:\n\n| provider | why |\n|---|---|\n${rows.join("\n")}\n`;
}

function renderRow(provider: ProviderDescription): string {
  const ids = [provider.id, ...provider.aliases].map((id) => code(`${id}/`)).join(", ");
  const key = provider.needs_key ? codes(provider.key_variables) : `${codes(provider.key_variables)} (optional)`;
  const settings = provider.settings.map(({ name, variables }) => `${code(name)} ${codes(variables)}`.trim());
  const address = [provider.base_url ?? "", codes(provider.base_url_variables), ...settings];
  const told = provider.operations.filter((name) => name !== "generate_content");
  const operations = told.map((name) => operationNames[name] ?? name).join(", ");
  const note = provider.note === "" ? "" : `<br>${provider.note}`;
  const cells = [
    `${provider.name}: ${ids}${note}`,
    key,
    address.filter((part) => part !== "").join("<br>"),
    operations,
  ];
  return `| ${cells.map((cell) => cell.trim()).join(" | ")} |`;
}

function codes(names: readonly string[]): string {
  return names.map(code).join(" ");
}

function code(text: string): string {
  return `\`${text}\``;
}
