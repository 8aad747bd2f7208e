import type { Environment } from "#chassis/environment.ts";
import { errorText } from "#chassis/log.ts";
import { createSealer, type KeyedSealer, type SealedValue } from "#chassis/sealing.ts";
import { givenSealers } from "#chassis/wrapping.ts";
import { sealedValues as authValues } from "../../auth/sealed-values.ts";
import { routerSchema } from "../../router/db/schema.ts";
import { sealedValues as routerValues } from "../../router/models/sealed-values.ts";
import { explain } from "../main-process.ts";
import { type CommandContext, withStoredData } from "./command.ts";
import { openStoredKey } from "./stored-key.ts";

/** What was found. */
export interface Verification {
  /** By kind: how many there are. */
  readonly counts: ReadonlyMap<string, number>;
  /** What does not open, and why; never what it holds. */
  readonly failures: readonly string[];
}

/** Opens everything that is stored sealed, with the keys of this environment, and changes nothing of it. */
export async function verifySecrets(context: CommandContext): Promise<Verification> {
  const { key, wrappings, given, auth } = await openStoredKey(context);
  const router = await context.state.database(routerSchema);
  const result = { counts: new Map<string, number>(), failures: [] as string[] };
  const count = (kind: string, failure: string | undefined) => {
    result.counts.set(kind, (result.counts.get(kind) ?? 0) + 1);
    if (failure !== undefined) result.failures.push(failure);
  };
  const sealers = givenSealers(given);
  for (const { id, wrapped } of wrappings) {
    const sealer = sealers.find(({ keyId }) => keyId === id);
    if (wrapped.length > 0 && sealer !== undefined) {
      count("wrapping of the key", wrappingFailure(sealer, wrapped, key.keyId));
    }
  }
  for (const value of [...(await authValues(auth)), ...(await routerValues(router))]) {
    count(value.kind, valueFailure(key, value));
  }
  return result;
}

function wrappingFailure(sealer: KeyedSealer, wrapped: Uint8Array, keyId: string): string | undefined {
  try {
    const isSame = createSealer(sealer.open(wrapped)).keyId === keyId;
    return isSame ? undefined : `wrapping ${sealer.keyId}: it holds another key than the others`;
  } catch (error) {
    return `wrapping ${sealer.keyId}: ${errorText(error)}`;
  }
}

function valueFailure(key: KeyedSealer, { kind, name, sealed }: SealedValue): string | undefined {
  try {
    key.open(sealed);
    return undefined;
  } catch (error) {
    return `${kind} ${name}: ${errorText(error)}`;
  }
}

async function main(environment: Environment): Promise<void> {
  const { counts, failures } = await withStoredData(environment, verifySecrets);
  for (const [kind, number] of counts) process.stdout.write(`${kind}: ${number}\n`);
  for (const failure of failures) process.stdout.write(`does not open: ${failure}\n`);
  const all = [...counts.values()].reduce((sum, number) => sum + number, 0);
  process.stdout.write(`${all - failures.length} of ${all} sealed values open.\n`);
  if (failures.length > 0) process.exitCode = 1;
}

if (import.meta.main) await explain(() => main(process.env), "Secrets cannot be verified.");
