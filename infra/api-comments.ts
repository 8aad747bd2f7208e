import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fromBinary } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type FileDescriptorProto,
  FileDescriptorSetSchema,
  type ServiceDescriptorProto,
} from "@bufbuild/protobuf/wkt";

/** Writes services/edge/openapi/comments.json from the protos; with `--check` fails where the file is not up to date. */
const file = new URL("../services/edge/openapi/comments.json", import.meta.url);

/** Numbers of the fields of FileDescriptorProto and so on, of which the path of a comment consists (descriptor.proto). */
const messageOfFile = 4;
const serviceOfFile = 6;
const memberOf = 2;

const image = execFileSync("buf", ["build", "-o", "-#format=binpb", "--as-file-descriptor-set"], {
  maxBuffer: 64 * 1024 * 1024,
});
const found: Record<string, string> = {};
for (const proto of fromBinary(FileDescriptorSetSchema, image).file) {
  if (proto.package.startsWith("sluice.")) collect(proto);
}
const sorted = Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)));
const text = `${JSON.stringify(sorted, null, 2)}\n`;
if (!process.argv.includes("--check")) writeFileSync(file, text);
else if (readFileSync(file, "utf8") !== text) {
  console.error('services/edge/openapi/comments.json differs from the protos, run "npm run docs"');
  process.exitCode = 1;
}

function collect(proto: FileDescriptorProto): void {
  for (const { path, leadingComments } of proto.sourceCodeInfo?.location ?? []) {
    const name = nameAt(proto, path);
    const comment = leadingComments.trim().replace(/\s*\n\s*/g, " ");
    if (name !== undefined && comment !== "") found[`${proto.package}.${name}`] = comment;
  }
}

/** What a location's path leads to: a message, a field of one, a service or an RPC of one. Anything else is skipped. */
function nameAt(proto: FileDescriptorProto, path: readonly number[]): string | undefined {
  const [kind, index = 0, inner, innerIndex = 0] = path;
  const outer: DescriptorProto | ServiceDescriptorProto | undefined =
    kind === messageOfFile ? proto.messageType[index] : kind === serviceOfFile ? proto.service[index] : undefined;
  if (outer === undefined) return undefined;
  if (path.length === 2) return outer.name;
  if (path.length !== 4 || inner !== memberOf) return undefined;
  const members = "field" in outer ? outer.field : outer.method;
  return `${outer.name}.${members[innerIndex]?.name}`;
}
