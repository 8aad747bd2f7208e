import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { nodeArguments } from "./node-arguments.ts";

const root = join(import.meta.dirname, "../..");

test("npm start and the image start Node as the mesh does", () => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  assert.equal(scripts.start, ["node", ...nodeArguments, "services/main.ts"].join(" "));
  const dockerfile = readFileSync(join(root, "infra/docker/Dockerfile"), "utf8");
  const entry = JSON.stringify(["node", ...nodeArguments, "services/main.ts"]).replaceAll(",", ", ");
  assert.ok(dockerfile.includes(`ENTRYPOINT ${entry}\n`), entry);
});
