import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Fails when `gen/` is not what `buf generate` makes of `proto/` now. */
const fresh = mkdtempSync(join(tmpdir(), "sluice-gen-"));
try {
  execFileSync("buf", ["generate", "--output", fresh], { stdio: "inherit" });
  const differing = [...new Set([...files("gen"), ...files(join(fresh, "gen"))])].filter(
    (file) => read(join("gen", file)) !== read(join(fresh, "gen", file)),
  );
  if (differing.length > 0) {
    console.error(`gen/ differs from proto/, run "npm run gen":\n  ${differing.join("\n  ")}`);
    process.exitCode = 1;
  }
} finally {
  rmSync(fresh, { recursive: true });
}

function files(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
