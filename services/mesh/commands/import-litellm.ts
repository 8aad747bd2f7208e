import { writeFile } from "node:fs/promises";
import { isUniqueViolation } from "#chassis/database/database.ts";
import { ConfigurationError, type Environment } from "#chassis/environment.ts";
import { explain } from "../main-process.ts";
import { withStoredData } from "./command.ts";
import { readOptions, usage } from "./import-litellm/options.ts";
import { runImport } from "./import-litellm/run.ts";
import { withSource } from "./import-litellm/source.ts";
import { openTarget } from "./import-litellm/target.ts";

/** Takes keys, teams, users, budgets, spend, models and credentials from a database of LiteLLM. */
async function importLitellm(args: readonly string[], environment: Environment): Promise<void> {
  const options = readOptions(args, environment);
  if (options === undefined) return void process.stdout.write(usage);
  await withSource(options.databaseUrl, (source) =>
    withStoredData(options.environment, async (context) => {
      const target = await openTarget(context, options);
      await runImport(source, target).catch(explainConflict);
      process.stdout.write(target.report.toText());
      if (options.reportFile === undefined) return;
      await writeFile(options.reportFile, `${JSON.stringify(target.report, undefined, 2)}\n`, { mode: 0o600 });
    }),
  );
}

function explainConflict(error: unknown): never {
  if (!isUniqueViolation(error)) throw error;
  throw new ConfigurationError("Something of the same id or name was made here at the same moment. Begin again.");
}

await explain(() => importLitellm(process.argv.slice(2), process.env), "The import was not finished.");
