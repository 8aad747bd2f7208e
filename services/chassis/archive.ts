import { spawn } from "node:child_process";
import { createReadStream, createWriteStream } from "node:fs";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createZstdCompress, createZstdDecompress } from "node:zlib";
import { errorText } from "#chassis/log.ts";

/**
 * Writes a directory's content as a tar archive, compressed with Zstandard and its checksum, to a new file that this user
 * alone may read, and waits until the disk has it. Needs the program `tar`.
 */
export async function packDirectory(directory: string, file: string): Promise<void> {
  const tar = startTar(["-c", "-f", "-", "-C", directory, "."]);
  const compress = createZstdCompress({ params: { [constants.ZSTD_c_checksumFlag]: 1 } });
  const write = pipeline(tar.stdout, compress, createWriteStream(file, { flags: "wx", mode: 0o600, flush: true }));
  await both(write, tar.ended);
}

/**
 * Unpacks such an archive into a directory that exists. Rejects where the file is not one, or is damaged or cut off: it is
 * read to its end, where the checksum is, also after the program has seen the archive's own end and stopped to read.
 */
export async function unpackDirectory(file: string, directory: string): Promise<void> {
  const tar = startTar(["-x", "-f", "-", "-C", directory, "--no-same-owner", "--no-same-permissions"]);
  tar.stdin.on("error", () => undefined);
  const feed = async (chunks: AsyncIterable<Uint8Array>) => {
    for await (const chunk of chunks) await write(tar.stdin, chunk);
    tar.stdin.end();
  };
  const read = pipeline(createReadStream(file), createZstdDecompress(), feed);
  await both(
    read.catch((error: unknown) => {
      tar.stdin.destroy();
      throw error;
    }),
    tar.ended,
  );
}

/** Resolves when there is room for more, or nobody takes it any longer. */
async function write(to: Writable, chunk: Uint8Array): Promise<void> {
  if (!to.writable || to.write(chunk)) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      to.off("drain", done).off("close", done);
      resolve();
    };
    to.on("drain", done).on("close", done);
  });
}

/** What the stream says is the reason where both fail: the program only notices that its input or output is gone. */
async function both(stream: Promise<void>, program: Promise<void>): Promise<void> {
  const [streamed, ended] = await Promise.allSettled([stream, program]);
  const failed = [streamed, ended].filter((outcome) => outcome.status === "rejected");
  const broken = failed.find(({ reason }) => !/EPIPE|premature close/i.test(errorText(reason))) ?? failed[0];
  if (broken !== undefined) throw broken.reason;
}

function startTar(args: readonly string[]) {
  const child = spawn("tar", args, { stdio: ["pipe", "pipe", "pipe"] });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-1000);
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.once("error", (error) => reject(new Error(`the program tar cannot be run: ${error.message}`)));
  child.once("close", (code) => (code === 0 ? resolve() : reject(new Error(`tar failed: ${complaint.trim()}`))));
  return { stdin: child.stdin, stdout: child.stdout, ended: promise };
}
