import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const manifest = z
  .object({ version: z.string(), dependencies: z.object({ "@electric-sql/pglite": z.string() }) })
  .parse(JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8")));

/** Sluice's version, from package.json. */
export const version = manifest.version;

/** The version of the embedded database, whose files another one may not read. */
export const embeddedVersion = manifest.dependencies["@electric-sql/pglite"];
