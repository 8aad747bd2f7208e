import type { Database } from "#chassis/database/database.ts";
import type { Sealer } from "#chassis/sealing.ts";
import { readEnv as readAccountingEnv } from "../../../accounting/config.ts";
import { accountingSchema } from "../../../accounting/db/schema.ts";
import type { TimeZone } from "../../../accounting/time-zone.ts";
import { authSchema } from "../../../auth/db/schema.ts";
import { readWrappings } from "../../../auth/keyring.ts";
import { routerSchema } from "../../../router/db/schema.ts";
import {
  createModelCheck,
  type ImportedModel,
  type ModelCheck,
  type ModelImport,
} from "../../../router/models/import-models.ts";
import type { CommandContext } from "../command.ts";
import { makeStoredKey, openStoredKey } from "../stored-key.ts";
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
  const auth = await state.database(authSchema);
  return {
    auth,
    accounting: {
      database: await state.database(accountingSchema),
      nowMs: now.getTime(),
      zone: readAccountingEnv(file.env).timeZone,
    },
    models: {
      database: router,
      sealer: once(() => storageSealer(context, auth, dryRun)),
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

/** The sealer of what the gateway stores. A dry run makes none where there is none yet. */
async function storageSealer(context: CommandContext, auth: Database, dryRun: boolean): Promise<Sealer | undefined> {
  if (!dryRun) return (await makeStoredKey(context)).key;
  const wrappings = await readWrappings(auth.em(), new Date());
  return wrappings.length === 0 ? undefined : (await openStoredKey(context)).key;
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
