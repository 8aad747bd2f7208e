import { objectOf } from "./fields.ts";
import type { ImportReport } from "./report.ts";
import type { Source } from "./source.ts";

/** Tables that are read; a membership and a team's model aliases with the team. */
const readTables: ReadonlySet<string> = new Set(
  [
    ...["VerificationToken", "DeprecatedVerificationToken", "TeamTable", "TeamMembership", "ModelTable", "UserTable"],
    ...["OrganizationTable", "OrganizationMembership", "ProjectTable", "BudgetTable", "EndUserTable", "TagTable"],
    ...["AccessGroupTable", "ProxyModelTable", "CredentialsTable", "Config", "BudgetWindowSpend"],
  ].map((name) => `LiteLLM_${name}`),
);

/** Of what an import reads, what a database without it would be an old LiteLLM's. */
const expectedTables = [
  ...["TeamTable", "TeamMembership", "UserTable", "OrganizationTable", "BudgetTable", "EndUserTable"],
  ...["ProxyModelTable", "CredentialsTable", "TagTable", "ProjectTable", "AccessGroupTable"],
];

const history = /Log|Daily|Audit|Health|Deleted|Cron|Heartbeat|Settlement|Session|Managed(File|Object)|Retired/;
const reasonOfHistory = "what happened at LiteLLM stays there";
const reasonOfOthers = "has no counterpart here yet";

/** Says what the database holds beside what is taken. */
export async function reportOthers(source: Source, report: ImportReport): Promise<void> {
  for (const name of expectedTables) {
    const table = `LiteLLM_${name}`;
    if (!source.tables.has(table)) report.leftRows(table, 0, "is not in this version of LiteLLM");
  }
  for (const table of [...source.tables].toSorted()) {
    if (readTables.has(table)) continue;
    const count = await source.count(table);
    if (count > 0) report.leftRows(table, count, history.test(table) ? reasonOfHistory : reasonOfOthers);
  }
  await reportConfig(source, report);
}

/** Settings that LiteLLM keeps in the database: they belong into the configuration file. Their values are not shown. */
async function reportConfig(source: Source, report: ImportReport): Promise<void> {
  for await (const rows of source.pages("LiteLLM_Config", ["param_name"])) {
    for (const row of rows) {
      const members = Object.keys(objectOf(row.param_value));
      if (members.length === 0) continue;
      const reason = `is not taken: write it into config.yaml where it is wanted (${members.join(", ")})`;
      report.leftRow("settings", String(row.param_name), reason);
    }
  }
}
