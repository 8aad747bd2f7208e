import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { packDirectory, unpackDirectory } from "#chassis/archive.ts";

const dir = await mkdtemp(join(tmpdir(), "sluice-archive-"));
after(() => rm(dir, { recursive: true }));

const content = join(dir, "content");
const packed = join(dir, "packed");
const random = randomBytes(300_000);
await mkdir(join(content, "empty"), { recursive: true });
await writeFile(join(content, "random"), random);
await packDirectory(content, packed);
const bytes = await readFile(packed);

async function unpack(file: string): Promise<string> {
  const to = await mkdtemp(join(dir, "unpacked-"));
  await unpackDirectory(file, to);
  return to;
}

test("files and empty directories come back, and only their owner may read the archive", async () => {
  const to = await unpack(packed);
  assert.deepEqual(await readFile(join(to, "random")), random);
  assert.ok((await stat(join(to, "empty"))).isDirectory());
  assert.equal((await stat(packed)).mode & 0o777, 0o600);
});

test("a file that exists is not written over, and a directory that does not exist is an error", async () => {
  await assert.rejects(packDirectory(content, packed), /EEXIST/);
  await assert.rejects(packDirectory(join(dir, "none"), join(dir, "other")), /tar failed/);
});

const damaged: [string, Buffer][] = [
  ["empty", Buffer.alloc(0)],
  ["cut off at its start", bytes.subarray(0, 2)],
  ["cut off in the middle", bytes.subarray(0, bytes.length / 2)],
  ["cut off at its end", bytes.subarray(0, -1)],
  ["something else", Buffer.from("-- PostgreSQL database dump")],
  ...[0, 10, Math.floor(bytes.length / 2), bytes.length - 1].map((at): [string, Buffer] => [
    `changed at byte ${at}`,
    Buffer.from(bytes.map((byte, index) => (index === at ? byte ^ 0x55 : byte))),
  ]),
];
for (const [what, content] of damaged) {
  test(`an archive that is ${what} is refused`, async () => {
    const file = join(dir, "damaged");
    await writeFile(file, content);
    await assert.rejects(unpack(file));
  });
}
