import { ConfigurationError } from "#chassis/environment.ts";
import { createSealer, type KeyedSealer, keyIdOf } from "#chassis/sealing.ts";
import type { Secret } from "#chassis/secret.ts";

/** A key that a person has given, and the variable or file that holds it. */
export interface GivenKey {
  readonly secret: Secret;
  readonly place: string;
}

/** What a process was given to unwrap with: the salt key first, else the master key. */
export interface GivenKeys {
  readonly salt: GivenKey | undefined;
  readonly master: GivenKey | undefined;
  /** A generated master key that `master` was set in the place of. It opens what it opened, and is no key otherwise. */
  readonly former?: GivenKey | undefined;
}

/** The key-encryption key, sealed under a salt or master key. */
export interface Wrapping {
  /** The id of the key that it is sealed under; empty for one of a time when that was not noted. */
  readonly id: string;
  /** Whether that is a `salt` or a `master` key; `unknown` as above. */
  readonly kind: string;
  /** Empty once it has expired. */
  readonly wrapped: Uint8Array;
  readonly createdAt: Date;
  /** Undefined means that it does not expire. */
  readonly expiresAt: Date | undefined;
}

/** What opened. */
export interface Unwrapped {
  readonly key: Secret;
  readonly wrapping: Wrapping;
  /** Which of the given keys opened it. */
  readonly by: "salt" | "master" | "former";
}

/** The sealer of whatever a process was given, for the time when it knows no key-encryption key. */
export function givenSealers({ salt, master }: GivenKeys): readonly KeyedSealer[] {
  return [salt, master].flatMap((given) => (given === undefined ? [] : [createSealer(given.secret)]));
}

/**
 * Opens one of the wrappings with what was given; undefined where there is none yet.
 *
 * @throws ConfigurationError where none opens, or where the salt key is not the one that others are sealed under: it says
 * which variable or file is wrong, since when, and what to do.
 */
export function unwrap(wrappings: readonly Wrapping[], given: GivenKeys): Unwrapped | undefined {
  if (wrappings.length === 0) return undefined;
  const live = wrappings.filter(({ wrapped }) => wrapped.length > 0);
  const salt = given.salt && createSealer(given.salt.secret);
  const salted = live.find(({ kind }) => kind === "salt");
  if (given.salt !== undefined && salted !== undefined && !live.some(({ id }) => id === salt?.keyId)) {
    throw new ConfigurationError(
      `The salt key in ${given.salt.place} is not the one that stored secrets are sealed under since ${day(salted.createdAt)}. ` +
        `Set ${given.salt.place} to that one. Nothing was changed.`,
    );
  }
  const opened = salt && openOne(live, salt);
  if (opened !== undefined) return { ...opened, by: "salt" };
  const byMaster = given.master && openOne(live, createSealer(given.master.secret));
  if (byMaster !== undefined) return { ...byMaster, by: "master" };
  const byFormer = given.former && openOne(live, createSealer(given.former.secret));
  if (byFormer !== undefined) return { ...byFormer, by: "former" };
  throw new ConfigurationError(`${mismatch(wrappings, live, given)} Nothing was changed.`);
}

function openOne(live: readonly Wrapping[], sealer: KeyedSealer): Omit<Unwrapped, "by"> | undefined {
  for (const wrapping of live) {
    const id = keyIdOf(wrapping.wrapped);
    if (id !== undefined && id !== sealer.keyId) continue;
    try {
      return { key: sealer.open(wrapping.wrapped), wrapping };
    } catch {
      // Sealed under another key, of a time when that was not noted: the next one may open.
    }
  }
  return undefined;
}

function mismatch(wrappings: readonly Wrapping[], live: readonly Wrapping[], { salt, master }: GivenKeys): string {
  const place = master?.place ?? "SLUICE_MASTER_KEY";
  const masterId = master && createSealer(master.secret).keyId;
  const expired = wrappings.find(({ id, wrapped }) => id === masterId && wrapped.length === 0);
  const salted = live.find(({ kind }) => kind === "salt");
  if (salted !== undefined && salt === undefined) {
    return (
      `Stored secrets are sealed under a salt key since ${day(salted.createdAt)}, and none is set. ` +
      "Set SLUICE_SALT_KEY or LITELLM_SALT_KEY to it."
    );
  }
  if (expired?.expiresAt !== undefined) {
    return (
      `The master key in ${place} was replaced, and its grace period ended on ${day(expired.expiresAt)}. ` +
      `Set ${place} to the new master key.`
    );
  }
  const since = live.at(-1)?.createdAt ?? wrappings.at(-1)?.createdAt ?? new Date();
  if (salt !== undefined) {
    return (
      `Neither the salt key in ${salt.place} nor the master key in ${place} is the one that stored secrets are sealed ` +
      `under since ${day(since)}. Set ${salt.place} to the salt key they were sealed under; if there was none, ` +
      `set ${place} to the master key of that time.`
    );
  }
  const kind = live.some((wrapping) => wrapping.kind === "unknown") ? "key" : "master key";
  const hint = kind === "key" ? " If there was a salt key, set SLUICE_SALT_KEY or LITELLM_SALT_KEY to it." : "";
  return (
    `The master key in ${place} is not the ${kind} that stored secrets are sealed under since ${day(since)}. ` +
    `Set ${place} to that master key, and replace it with POST /key/regenerate.${hint}`
  );
}

function day(date: Date): string {
  return date.toISOString().slice(0, 16).replace("T", " ").concat(" UTC");
}
