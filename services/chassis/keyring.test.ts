import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ConnectError } from "@connectrpc/connect";
import { ConfigurationError } from "#chassis/environment.ts";
import { findGatewayError } from "#chassis/errors.ts";
import { createLogger } from "#chassis/log.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { mintKeyEncryptionKey, openKeyring } from "./keyring.ts";
import { createSealer, keyIdOf } from "./sealing.ts";
import { Secret } from "./secret.ts";
import { type GivenKeys, unwrap, type Wrapping } from "./wrapping.ts";

const log = createLogger("error", () => {});
const key = mintKeyEncryptionKey();
const createdAt = new Date("2026-01-02T03:04:05Z");

const place = { salt: "SLUICE_SALT_KEY", master: "LITELLM_MASTER_KEY" };

function given(keys: { salt?: string; master?: string }): GivenKeys {
  const one = (name: "salt" | "master") =>
    keys[name] === undefined ? undefined : { secret: new Secret(keys[name]), place: place[name] };
  return { salt: one("salt"), master: one("master") };
}

function wrapping(kind: string, under: string, expired = false): Wrapping {
  const sealer = createSealer(new Secret(under));
  return {
    id: kind === "unknown" ? "" : sealer.keyId,
    kind,
    wrapped: expired ? new Uint8Array() : sealer.seal(key),
    createdAt,
    expiresAt: expired ? new Date("2026-02-03T00:00:00Z") : undefined,
  };
}

const salt = wrapping("salt", "salt");
const master = wrapping("master", "master");
const replaced = [wrapping("master", "old", true), wrapping("master", "new")];

test("the key is unwrapped with the salt key, else with the master key", () => {
  const cases: [keys: Parameters<typeof given>[0], wrappings: readonly Wrapping[], by: string | undefined][] = [
    [{ master: "master" }, [], undefined],
    [{ master: "master" }, [master], "master"],
    [{ salt: "salt", master: "anything" }, [salt], "salt"],
    [{ salt: "salt", master: "master" }, [master, salt], "salt"],
    [{ salt: "a new one", master: "master" }, [master], "master"],
    [{ master: "master" }, [wrapping("unknown", "master")], "master"],
    [{ salt: "salt", master: "master" }, [wrapping("unknown", "salt")], "salt"],
    [{ master: "new" }, replaced, "master"],
    [{ master: "master" }, [master, salt], "master"],
  ];
  for (const [keys, wrappings, by] of cases) {
    const unwrapped = unwrap(wrappings, given(keys));
    assert.equal(unwrapped?.by, by, JSON.stringify(keys));
    if (by !== undefined) assert.equal(unwrapped?.key.reveal(), key.reveal());
  }
});

test("keys that do not open are named, with since when and what to do", () => {
  const cases: [keys: Parameters<typeof given>[0], wrappings: readonly Wrapping[], says: RegExp][] = [
    [
      { master: "wrong" },
      [master],
      /master key in LITELLM_MASTER_KEY is not .* since 2026-01-02 03:04 UTC.*Set LITELLM/,
    ],
    [{ master: "old" }, replaced, /LITELLM_MASTER_KEY was replaced, and its grace period ended on 2026-02-03/],
    [{ salt: "wrong", master: "master" }, [salt], /salt key in SLUICE_SALT_KEY is not .* since 2026-01-02/],
    [{ salt: "wrong", master: "master" }, [master, salt], /salt key in SLUICE_SALT_KEY is not/],
    [{ master: "master" }, [salt], /under a salt key since .* none is set. Set SLUICE_SALT_KEY or LITELLM_SALT_KEY/],
    [{ salt: "wrong", master: "wrong" }, [master], /Neither the salt key in SLUICE_SALT_KEY nor the master key/],
    [{ master: "wrong" }, [wrapping("unknown", "x")], /is not the key .* If there was a salt key, set SLUICE_SALT_KEY/],
  ];
  for (const [keys, wrappings, says] of cases) {
    assert.throws(
      () => unwrap(wrappings, given(keys)),
      (error) => error instanceof ConfigurationError && says.test(error.message) && /Nothing was/.test(error.message),
      String(says),
    );
  }
});

/** A source that is away until it is told otherwise. */
function source(wrappings: readonly Wrapping[]) {
  const state = { away: true, asked: 0, wrappings };
  const load = async () => {
    state.asked += 1;
    if (state.away) throw new Error("nobody is there");
    return state.wrappings;
  };
  return { state, load };
}

async function until(check: () => boolean): Promise<void> {
  for (let tries = 0; tries < 500 && !check(); tries += 1) await sleep(10);
  assert.ok(check());
}

function isUnavailable(error: unknown): boolean {
  return findGatewayError(ConnectError.from(error))?.reason === Reason.UNAVAILABLE;
}

test("a process without its keyring seals under what it was given, and goes over once the keyring is there", async () => {
  const stopping = new AbortController();
  const { state, load } = source([master]);
  const options = { given: given({ master: "master" }), load, log, signal: stopping.signal, retryMs: 10 };
  const keyring = await openKeyring(options, 0);
  let changes = 0;
  keyring.onChange(() => {
    changes += 1;
  });
  assert.equal(keyring.isOpen, false);
  assert.throws(() => keyring.wrap(new Secret("next")), isUnavailable);
  const early = keyring.seal(new Secret("early"));
  assert.equal(keyIdOf(early), master.id);
  state.away = false;
  await until(() => keyring.isOpen);
  const late = keyring.seal(new Secret("late"));
  assert.equal(keyIdOf(late), createSealer(key).keyId);
  assert.deepEqual(
    [early, late].map((sealed) => keyring.open(sealed).reveal()),
    ["early", "late"],
  );
  assert.equal(changes, 1);
  const { asked } = state;
  stopping.abort();
  await sleep(50);
  assert.equal(state.asked, asked, "it asks no more");
  const { id, wrapped } = keyring.wrap(new Secret("next"));
  const next = { id, kind: "master", wrapped, createdAt, expiresAt: undefined };
  assert.equal(unwrap([next], given({ master: "next" }))?.key.reveal(), key.reveal());
});

test("something under a key that is not known is unavailable, and lets the keyring be fetched, not on every call", async () => {
  const { state, load } = source([wrapping("master", "master")]);
  const { signal } = new AbortController();
  const keyring = await openKeyring({ given: given({ master: "master" }), load, log, signal, retryMs: 60_000 }, 0);
  const sealed = createSealer(key).seal(new Secret("k"));
  const { asked } = state;
  for (let calls = 0; calls < 100; calls += 1) assert.throws(() => keyring.open(sealed), isUnavailable);
  assert.equal(state.asked, asked + 1);
  state.away = false;
  await sleep(1100);
  assert.throws(() => keyring.open(sealed), isUnavailable);
  await until(() => keyring.isOpen);
  assert.equal(keyring.open(sealed).reveal(), "k");
});

test("a start with the wrong keys ends, and a running process goes on with what it has", async () => {
  const { state, load } = source([master]);
  state.away = false;
  const { signal } = new AbortController();
  await assert.rejects(openKeyring({ given: given({ master: "wrong" }), load, log, signal }, 0), ConfigurationError);
  const keyring = await openKeyring({ given: given({ master: "master" }), load, log, signal }, 0);
  const sealed = keyring.seal(new Secret("k"));
  state.wrappings = [wrapping("master", "next")];
  await assert.rejects(keyring.refresh(), ConfigurationError);
  assert.equal(keyring.open(sealed).reveal(), "k");
  assert.equal(keyring.open(keyring.seal(new Secret("more"))).reveal(), "more");
});
