import { readFileSync, writeFileSync } from "node:fs";
import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { Role, RoleSchema } from "#gen/sluice/rest/v1/caller_pb.ts";
import { http as httpOption } from "#gen/sluice/rest/v1/rest_pb.ts";
import { adminServices } from "../services/mesh/admin-services.ts";

/** Writes docs/admin-api.md from the contract; with `--check` fails where the page is not what the contract says now. */
const file = new URL("../docs/admin-api.md", import.meta.url);

const intro = `# Admin API

Every admin path, the RPC behind it and who may call it; \`npm run docs\` makes this page from the contract. The paths, fields
and answers are LiteLLM's. \`/openapi.json\` describes them, and the page at \`/\` tries them out. What a path does not say
here is denied. A role opens the path; which keys, teams and so on a caller may then see or change depends on what it
belongs to, and is the service's own decision.

\`proxy_admin\` may call everything: the master key, and keys of users with that role. \`key\` is any valid key. Every path is
also an RPC on the mesh.
`;

const text = render();
if (!process.argv.includes("--check")) writeFileSync(file, text);
else if (readFileSync(file, "utf8") !== text) {
  console.error('docs/admin-api.md differs from the contract, run "npm run docs"');
  process.exitCode = 1;
}

function render(): string {
  const tables = adminServices.map(({ service }) => {
    const rows = service.methods.flatMap(renderRows);
    return `## ${service.name}\n\n| path | RPC | who, beside proxy_admin |\n|---|---|---|\n${rows.join("\n")}\n`;
  });
  return `${intro}\n${tables.join("\n")}`;
}

function renderRows(method: DescMethod): string[] {
  const { paths, roles } = getOption(method, httpOption);
  const names = roles.filter((role) => role !== Role.PROXY_ADMIN).map((role) => RoleSchema.value[role]?.localName);
  return paths.map((path) => `| \`${path}\` | ${method.name} | ${names.join(", ").toLowerCase()} |`);
}
