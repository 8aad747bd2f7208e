import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { findGatewayError, gatewayError } from "#chassis/errors.ts";
import { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import { PrincipalSchema } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { PrincipalCache } from "./principal-cache.ts";
import { authenticateEach } from "./testing/scripted-mesh.ts";

function setUp(entries = 100, timeoutMs = 30_000) {
  const auth = {
    asked: [] as string[],
    /** How many keys each question was about that several shared. */
    questions: [] as number[],
    answer: async (keyHash: string) => ({ principal: create(PrincipalSchema, { keyId: keyHash }) }),
    unanswered: 0,
    now: 0,
  };
  const transport = createRouterTransport(({ service }) => {
    service(AuthService, {
      authenticate({ keyHash }) {
        auth.asked.push(keyHash);
        return auth.answer(keyHash);
      },
      authenticateKeys(request, context) {
        auth.asked.push(...request.keyHashes);
        auth.questions.push(request.keyHashes.length);
        return authenticateEach(({ keyHash }) => auth.answer(keyHash), request, context);
      },
    });
  });
  const cache = new PrincipalCache({
    auth: createClient(AuthService, transport),
    entries,
    freshMs: 10_000,
    staleMs: 3_600_000,
    timeoutMs,
    now: () => auth.now,
    unanswered: () => {
      auth.unanswered += 1;
    },
  });
  const reasonOf = async (keyHash: string) => {
    try {
      await cache.get(keyHash);
      return undefined;
    } catch (error) {
      return findGatewayError(ConnectError.from(error))?.reason;
    }
  };
  return { auth, cache, reasonOf };
}

/** Lets what goes on in the background come to its end: turns of the loop, which a machine that stalls makes all the same. */
async function settle(): Promise<void> {
  for (let turns = 0; turns < 25; turns += 1) await new Promise((resolve) => setTimeout(resolve, 2));
}

const down = async () => {
  throw new ConnectError("no route", Code.Unavailable);
};

test("a key in use is asked for in the background and never waited for", async () => {
  const { auth, cache } = setUp();
  await Promise.all([cache.get("a"), cache.get("a"), cache.get("a")]);
  assert.deepEqual(auth.asked, ["a"]);
  auth.now = 4_999;
  assert.ok(!(cache.get("a") instanceof Promise));
  assert.equal(auth.asked.length, 1);
  auth.now = 6_000;
  assert.ok(!(cache.get("a") instanceof Promise));
  await settle();
  assert.equal(auth.asked.length, 2);
  auth.now = 15_000;
  assert.ok(!(cache.get("a") instanceof Promise));
});

test("a key that lay unused is asked for before it is served", async () => {
  const { auth, cache, reasonOf } = setUp();
  await cache.get("a");
  auth.now = 10_001;
  auth.answer = async () => {
    throw gatewayError(Reason.KEY_INVALID, "deleted");
  };
  assert.equal(await reasonOf("a"), Reason.KEY_INVALID);
  assert.equal(await reasonOf("a"), Reason.KEY_INVALID);
  assert.equal(auth.asked.length, 2);
});

test("while auth is down, keys are served for an hour and nobody waits twice", async () => {
  const { auth, cache, reasonOf } = setUp();
  await cache.get("a");
  auth.answer = down;
  auth.now = 20_000;
  assert.equal((await cache.get("a")).keyId, "a");
  assert.ok(!(cache.get("a") instanceof Promise));
  await settle();
  assert.equal(await reasonOf("b"), Reason.UNAVAILABLE);
  auth.now = 3_600_001;
  assert.equal(await reasonOf("a"), Reason.UNAVAILABLE);
  assert.ok(auth.unanswered >= 3);
});

test("a fault is never an invalid key", async () => {
  const faults = [
    new ConnectError("who are you", Code.Unauthenticated),
    new ConnectError("bug", Code.Internal),
    new Error("bug"),
  ];
  for (const fault of faults) {
    const { auth, reasonOf } = setUp();
    auth.answer = async () => {
      throw fault;
    };
    assert.equal(await reasonOf("a"), Reason.UNAVAILABLE);
  }
  const { auth, reasonOf } = setUp(100, 50);
  auth.answer = () => new Promise(() => {});
  assert.equal(await reasonOf("hangs"), Reason.UNAVAILABLE);
});

test("a change drops what is known, refused or under way", async () => {
  const { auth, cache, reasonOf } = setUp();
  await cache.get("a");
  cache.drop(["a"]);
  await cache.get("a");
  assert.equal(auth.asked.length, 2);

  const answer = auth.answer;
  auth.answer = async () => {
    throw gatewayError(Reason.KEY_INVALID, "not yet");
  };
  assert.equal(await reasonOf("b"), Reason.KEY_INVALID);
  auth.answer = answer;
  cache.drop(["b"]);
  assert.equal(await reasonOf("b"), undefined);

  const late = Promise.withResolvers<void>();
  auth.answer = async (keyHash) => {
    await late.promise;
    return answer(keyHash);
  };
  const underWay = cache.get("c");
  cache.drop(["c"]);
  late.resolve();
  await underWay;
  assert.ok(cache.get("c") instanceof Promise, "an answer older than the change must not be kept");
});

test("a flood of keys forgets the oldest", async () => {
  const { auth, cache } = setUp(2);
  for (const key of ["a", "b", "c"]) await cache.get(key);
  await cache.get("c");
  assert.equal(auth.asked.length, 3);
  await cache.get("a");
  assert.equal(auth.asked.length, 4);
});

test("while many keys come that nobody knows, and where no call waits, questions go together", async () => {
  const { auth, cache, reasonOf } = setUp();
  const know = auth.answer;
  await cache.get("in use");
  auth.answer = async (keyHash) => {
    if (keyHash.startsWith("guess")) throw gatewayError(Reason.KEY_INVALID, "no such key");
    return know(keyHash);
  };
  for (let guess = 0; guess < 50; guess += 1) assert.equal(await reasonOf(`guess ${guess}`), Reason.KEY_INVALID);
  assert.deepEqual(auth.questions, []);
  const more = Array.from({ length: 250 }, (_, at) => reasonOf(`guess ${100 + at}`));
  const good = reasonOf("good");
  assert.deepEqual(new Set(await Promise.all(more)), new Set([Reason.KEY_INVALID]));
  assert.equal(await good, undefined);
  assert.deepEqual(auth.questions, [200, 51]);

  auth.answer = down;
  assert.equal(await reasonOf("guess with nobody to ask"), Reason.UNAVAILABLE);

  auth.answer = know;
  auth.now = 6_000;
  await cache.get("calm again");
  assert.deepEqual(auth.questions, [200, 51, 1]);
  await cache.get("in use");
  await settle();
  assert.deepEqual(auth.questions, [200, 51, 1, 1]);
});
