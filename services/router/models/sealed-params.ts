import { isDeepStrictEqual } from "node:util";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Sealer } from "#chassis/sealing.ts";
import { Secret } from "#chassis/secret.ts";
import { isObject, maskParam } from "../masking.ts";

/** Parameters as they are stored: what may be read by everybody, and the rest sealed. */
export interface SealedParams {
  readonly open: JsonObject;
  readonly sealed: Uint8Array | null;
}

/** Seals whatever would be masked in an answer. */
export function sealParams(params: JsonObject, sealer: Sealer): SealedParams {
  const open: JsonObject = {};
  const secret: JsonObject = {};
  for (const [name, value] of Object.entries(params)) {
    if (isDeepStrictEqual(maskParam(name, value), value)) open[name] = value;
    else secret[name] = value;
  }
  return { open, sealed: Object.keys(secret).length === 0 ? null : sealObject(secret, sealer) };
}

/** The parameters as they were given. Throws where they were sealed under another key. */
export function openParams({ open, sealed }: SealedParams, sealer: Sealer): JsonObject {
  return sealed === null ? open : { ...open, ...openObject(sealed, sealer) };
}

export function sealObject(object: JsonObject, sealer: Sealer): Uint8Array {
  return sealer.seal(new Secret(JSON.stringify(object)));
}

export function openObject(sealed: Uint8Array, sealer: Sealer): JsonObject {
  const value: JsonValue = JSON.parse(sealer.open(sealed).reveal());
  return isObject(value) ? value : {};
}

/**
 * The object with the members of an update. One that is null is removed, or left alone where `keepsNull`. One that is as
 * it was shown, masked perhaps, stays as it is: it comes back from somebody who has read it.
 */
export function mergeMembers(
  current: JsonObject,
  update: JsonObject,
  shown: JsonObject,
  keepsNull: boolean,
): JsonObject {
  const merged = { ...current };
  for (const [name, value] of Object.entries(update)) {
    if (value === null) {
      if (!keepsNull) delete merged[name];
    } else if (!isDeepStrictEqual(value, shown[name])) {
      merged[name] = value;
    }
  }
  return merged;
}
