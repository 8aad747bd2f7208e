import type { Database } from "#chassis/database/database.ts";
import type { SealedValue } from "#chassis/sealing.ts";
import { StoredCredential, StoredDeployment } from "../db/entities.ts";

/** Everything that the router stores sealed. */
export async function sealedValues(database: Database): Promise<readonly SealedValue[]> {
  const em = database.em();
  const deployments = await em.find(StoredDeployment, { sealedParams: { $ne: null } });
  const credentials = await em.find(StoredCredential, {});
  return [
    ...deployments.flatMap(({ modelId: name, sealedParams: sealed }) =>
      sealed == null ? [] : [{ kind: "deployment", name, sealed }],
    ),
    ...credentials.map(({ credentialName: name, sealedValues: sealed }) => ({ kind: "credential", name, sealed })),
  ];
}
