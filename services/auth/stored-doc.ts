import { clone, type DescMessage, fromJson, type JsonValue, type MessageShape, toJson } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";

/** Reads a stored document. A setting that this version does not know is left out. */
export function readDoc<D extends DescMessage>(schema: D, doc: object): MessageShape<D> {
  return fromJson(schema, doc as JsonValue, { ignoreUnknownFields: true });
}

/** The form in which a document is stored. */
export function writeDoc<D extends DescMessage>(schema: D, settings: MessageShape<D>): object {
  return toJson(schema, settings) as object;
}

/**
 * The settings with what `paths` name taken from `update`: a path that the update does not have is cleared. Paths are
 * those of the schema's own fields, `limits.max_budget` for example; the empty path and unknown ones name nothing.
 */
export function patch<D extends DescMessage>(
  schema: D,
  current: MessageShape<D>,
  update: MessageShape<D> | undefined,
  paths: readonly string[],
): MessageShape<D> {
  const patched = clone(schema, current);
  for (const path of paths) {
    patchPath(reflect(schema, patched), update && reflect(schema, update), path.split("."));
  }
  return patched;
}

/** The paths of a mask that lie under a field, without it: `settings.blocked` is `blocked` under `settings`. */
export function pathsUnder(field: string, paths: readonly string[] | undefined): string[] {
  const prefix = `${field}.`;
  return (paths ?? []).filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
}

function patchPath(target: ReflectMessage, update: ReflectMessage | undefined, path: readonly string[]): void {
  const [name, ...rest] = path;
  const field = target.fields.find((candidate) => candidate.name === name);
  if (field === undefined) return;
  if (rest.length > 0 && field.fieldKind === "message") {
    const below = target.get(field);
    patchPath(below, update?.get(field), rest);
    target.set(field, below);
  } else if (update?.isSet(field)) {
    target.set(field, update.get(field));
  } else {
    target.clear(field);
  }
}
