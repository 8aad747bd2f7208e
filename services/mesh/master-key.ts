import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { join } from "node:path";
import { ConfigurationError, type Environment, text } from "#chassis/environment.ts";
import { Secret } from "#chassis/secret.ts";

/** The master key and how a person gets at it. */
export interface MasterKey {
  readonly key: Secret;
  readonly origin: "environment" | "config" | "stored" | "generated";
  /** The variable or the file that holds it. */
  readonly place: string;
}

const variables = ["SLUICE_MASTER_KEY", "LITELLM_MASTER_KEY"] as const;

/**
 * The master key of the environment, else of the configuration file, else of the file that SLUICE_MASTER_KEY_FILE names,
 * else of the data directory, where a first start generates one (mode 0600). A process that is only a part of the mesh
 * has no directory to keep one in: it must be given.
 */
export function findMasterKey(
  env: Environment,
  fromConfig: Secret | undefined,
  dataDir: string | undefined,
): MasterKey {
  const variable = variables.find((name) => text(env, name) !== undefined);
  if (variable !== undefined) {
    return checked({ key: new Secret(text(env, variable) ?? ""), origin: "environment", place: variable });
  }
  if (fromConfig !== undefined) {
    return checked({ key: fromConfig, origin: "config", place: "general_settings.master_key" });
  }
  const file = text(env, "SLUICE_MASTER_KEY_FILE");
  if (file !== undefined) {
    const key = readStored(file);
    if (key === undefined) throw new ConfigurationError(`SLUICE_MASTER_KEY_FILE: there is no file ${file}`);
    return checked({ key, origin: "stored", place: file });
  }
  if (dataDir === undefined) {
    throw new ConfigurationError(`${variables.join(" or ")} must be set, the same in every process of the mesh`);
  }
  const place = join(dataDir, "master.key");
  const stored = readStored(place);
  return stored === undefined ? generate(place) : checked({ key: stored, origin: "stored", place });
}

/**
 * Writes a new master key to the file that the old one came from; undefined where it came from elsewhere. The file is
 * replaced as a whole: whoever reads it finds the one or the other.
 */
export function keeperOf({ origin, place }: MasterKey): ((key: Secret) => Promise<void>) | undefined {
  if (origin !== "stored" && origin !== "generated") return undefined;
  return async (key) => {
    const next = `${place}.new`;
    const file = await open(next, "w", 0o600);
    try {
      await file.writeFile(`${key.reveal()}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(next, place);
  };
}

function generate(place: string): MasterKey {
  const key = new Secret(`sk-${randomBytes(24).toString("base64url")}`);
  writeFileSync(place, `${key.reveal()}\n`, { mode: 0o600, flag: "wx" });
  return { key, origin: "generated", place };
}

function readStored(place: string): Secret | undefined {
  try {
    return new Secret(readFileSync(place, "utf8").trim());
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new ConfigurationError(`${place} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}

function checked(master: MasterKey): MasterKey {
  if (!/^\S{4,}$/.test(master.key.reveal())) {
    throw new ConfigurationError(`the master key in ${master.place} must have at least 4 characters and no spaces`);
  }
  return master;
}
