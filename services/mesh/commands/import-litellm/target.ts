import { existsSync } from "node:fs";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { type Database, databaseError } from "#chassis/database/database.ts";
import { ConfigurationError, text } from "#chassis/environment.ts";
import { createSealer, type Sealer } from "#chassis/sealing.ts";
import { Secret } from "#chassis/secret.ts";
import { readEnv as readAccountingEnv } from "../../../accounting/config.ts";
import { accountingSchema } from "../../../accounting/db/schema.ts";
import type { TimeZone } from "../../../accounting/time-zone.ts";
import { authSchema } from "../../../auth/db/schema.ts";
import { routerSchema } from "../../../router/db/schema.ts";
import {
  createModelCheck,
  type ImportedModel,
  type ModelCheck,
  type ModelImport,
} from "../../../router/models/import-models.ts";
import { openStorageSealer } from "../../../router/models/storage-key.ts";
import { findMasterKey } from "../../master-key.ts";
import type { CommandContext } from "../command.ts";
import type { ImportOptions } from "./options.ts";
import { ImportReport } from "./report.ts";
import { createUnsealer, type Unsealed } from "./unsealing.ts";

/** How deployments and credentials are read. */
export interface ModelReading {
  readonly unseal: (text: string) => Unsealed;
  /** Whether there is a key to unseal with. */
  readonly hasKeys: boolean;
  readonly leaveUnreadable: boolean;
  /** What a deployment would do here. */
  readonly check: (model: ImportedModel) => ModelCheck;
}

/** Where an import goes, and how it reads what it takes. */
export interface ImportTarget {
  readonly auth: Database;
  readonly accounting: { readonly database: Database; readonly nowMs: number; readonly zone: TimeZone };
  readonly models: ModelImport;
  readonly reading: ModelReading;
  readonly dryRun: boolean;
  readonly now: Date;
  readonly report: ImportReport;
}

/** Opens what the gateway stores. */
export async function openTarget(
  context: CommandContext,
  { keys, dryRun, leaveUnreadable }: ImportOptions,
): Promise<ImportTarget> {
  const { file, state } = context;
  const now = new Date();
  const router = await state.database(routerSchema);
  return {
    auth: await state.database(authSchema),
    accounting: {
      database: await state.database(accountingSchema),
      nowMs: now.getTime(),
      zone: readAccountingEnv(file.env).timeZone,
    },
    models: {
      database: router,
      sealer: once(() => storageSealer(router, context)),
      dryRun,
    },
    reading: {
      unseal: createUnsealer(keys),
      hasKeys: keys.length > 0,
      leaveUnreadable,
      check: createModelCheck(file.document, file.env),
    },
    dryRun,
    now,
    report: new ImportReport(dryRun),
  };
}

/** The sealer of what the gateway stores. @throws ConfigurationError where the gateway has sealed under another key. */
async function storageSealer(router: Database, { file, config }: CommandContext): Promise<Sealer> {
  const wrapping = gatewaySealer(file, config);
  try {
    return await openStorageSealer(router, wrapping);
  } catch (error) {
    if (databaseError(error).code === Code.Unavailable) throw error;
    const what = "Sluice's stored credentials do not open with the salt or master key that it is given here";
    throw new ConfigurationError(`${what}: give this command the environment of the gateway.`);
  }
}

/** What the gateway seals under: its salt key, else its master key. */
function gatewaySealer(file: CommandContext["file"], { databaseUrl, dataDir }: CommandContext["config"]): Sealer {
  const salt = text(file.env, "SLUICE_SALT_KEY", "LITELLM_SALT_KEY");
  if (salt !== undefined) return createSealer(new Secret(salt));
  // One that is generated here would be the gateway's only where it keeps everything in this directory.
  const keepsKey = databaseUrl === undefined || existsSync(join(dataDir, "master.key"));
  return createSealer(findMasterKey(file.env, file.masterKey, keepsKey ? dataDir : undefined).key);
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
