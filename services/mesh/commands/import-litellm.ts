import { writeFile } from "node:fs/promises";
import { Code } from "@connectrpc/connect";
import { databaseError, isUniqueViolation } from "#chassis/database/database.ts";
import { ConfigurationError, type Environment } from "#chassis/environment.ts";
import { errorText } from "#chassis/log.ts";
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
      await runImport(source, target);
      process.stdout.write(target.report.toText());
      if (options.reportFile === undefined) return;
      await writeFile(options.reportFile, `${JSON.stringify(target.report, undefined, 2)}\n`, { mode: 0o600 });
    }),
  ).catch(explainFailure);
}

/** What a person can do about it. Every batch that was taken stays taken. */
function explainFailure(error: unknown): never {
  if (isUniqueViolation(error)) {
    throw new ConfigurationError("Something of the same id or name was made here at the same moment. Begin again.");
  }
  if (error instanceof ConfigurationError || databaseError(error).code !== Code.Unavailable) throw error;
  throw new ConfigurationError(`A database is away: ${errorText(error)}. What was taken stays: begin again.`);
}

await explain(() => importLitellm(process.argv.slice(2), process.env), "The import was not finished.");
