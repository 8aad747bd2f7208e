import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, randomBytes } from "node:crypto";
import { after, test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { exportSPKI, generateKeyPair, importJWK, SignJWT } from "jose";
import { findGatewayError } from "#chassis/errors.ts";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { startIdentityProvider } from "#chassis/testing/identity-provider.ts";
import { UserService } from "#gen/sluice/auth/v1/user_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { master, masterKeyHash } from "../testing/auth-fixture.ts";
import { setUpTokens, type TokenSetup } from "../testing/token-fixture.ts";

const databases = await startTestDatabases();
after(() => databases.stop());
const [{ url }] = databases.all as [(typeof databases.all)[number]];

const upsert = "user_id_jwt_field: sub\nuser_id_upsert: true";
const seconds = (ms: number) => Math.floor(ms / 1000);

/** What a token is refused for; undefined where it is not. */
async function refusal({ who }: TokenSetup, token: string): Promise<Reason | undefined> {
  return who(token).then(
    () => undefined,
    (error: unknown) => {
      const { code } = ConnectError.from(error);
      return findGatewayError(ConnectError.from(error))?.reason ?? assert.fail(`code ${code}: ${String(error)}`);
    },
  );
}

async function publicKeyOf(provider: TokenSetup["provider"]) {
  const key = await importJWK(await provider.publicJwk(), "RS256", { extractable: true });
  return key instanceof Uint8Array ? assert.fail("no public key") : key;
}

const keyFetches = (setup: TokenSetup) => setup.provider.asked.filter((path) => path === "/jwks").length;

test("a token of the provider is somebody, by discovery and by its keys' address", async () => {
  const envs = [
    undefined,
    (provider: TokenSetup["provider"]) => ({ JWT_PUBLIC_KEY_URL: `${provider.issuer}/jwks` }),
    (provider: TokenSetup["provider"]) => ({
      JWT_PUBLIC_KEY_URL: `https://127.0.0.1:9/gone,${provider.issuer}/.well-known/openid-configuration`,
      JWT_AUDIENCE: "urn:other,urn:sluice",
    }),
  ];
  for (const env of envs) {
    const setup = await setUpTokens(url, upsert, env && { env });
    const principal = await setup.who(await setup.provider.issue());
    assert.equal(principal.userId, "tests");
    assert.match(principal.keyId, /^[0-9a-f]{64}$/);
    assert.ok(principal.expiresAt && Number(principal.expiresAt.seconds) > seconds(Date.now()));
    assert.equal((await setup.who(await setup.provider.issue())).keyId, principal.keyId);
    await setup.close();
  }
});

test("what is wrong with a token is found, and none of it is let in", async () => {
  const setup = await setUpTokens(url, upsert);
  const { provider } = setup;
  const now = seconds(setup.clock.now);
  const other = await generateKeyPair("RS256");
  const publicPem = await exportSPKI(await publicKeyOf(provider));
  const good = await provider.sign();
  const [head = "", body = "", signature = ""] = good.split(".");
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const hmac = (secret: string) => {
    const input = `${encode({ alg: "HS256", kid: "first" })}.${body}`;
    return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
  };
  const foreign = await new SignJWT({ iss: provider.issuer, sub: "a", aud: "urn:sluice", exp: now + 60 })
    .setProtectedHeader({ alg: "RS256", kid: "first" })
    .sign(other.privateKey);
  const cases: [what: string, token: string, reason: Reason | undefined][] = [
    ["good", good, undefined],
    ["within the tolerance", await provider.sign({ exp: now - 30 }), undefined],
    ["expired", await provider.sign({ exp: now - 61 }), Reason.KEY_EXPIRED],
    ["without an end", await provider.sign({ exp: null }), Reason.KEY_INVALID],
    ["an end that is no number", await provider.sign({ exp: "tomorrow" }), Reason.KEY_INVALID],
    ["not yet good", await provider.sign({ nbf: now + 120 }), Reason.KEY_INVALID],
    ["issued tomorrow", await provider.sign({ iat: now + 86_400 }), Reason.KEY_INVALID],
    ["another audience", await provider.sign({ aud: "urn:other" }), Reason.KEY_INVALID],
    ["no audience", await provider.sign({ aud: null }), Reason.KEY_INVALID],
    ["another issuer", await provider.sign({ iss: "https://evil.example" }), Reason.KEY_INVALID],
    ["no issuer", await provider.sign({ iss: null }), Reason.KEY_INVALID],
    ["somebody else's signature", foreign, Reason.KEY_INVALID],
    ["another body", `${head}.${encode({ sub: "admin", exp: now + 60 })}.${signature}`, Reason.KEY_INVALID],
    ["alg none", `${encode({ alg: "none" })}.${body}.`, Reason.KEY_INVALID],
    ["alg NONE with a signature", `${encode({ alg: "NONE", kid: "first" })}.${body}.${signature}`, Reason.KEY_INVALID],
    ["the public key as a secret", hmac(publicPem), Reason.KEY_INVALID],
    ["the public key as a secret, in JSON", hmac(JSON.stringify(await provider.publicJwk())), Reason.KEY_INVALID],
    ["a key in its own header", await withOwnKey(), Reason.KEY_INVALID],
    ["a critical header", await provider.sign({}, { crit: "b64" }).catch(() => "a.b.c"), Reason.KEY_INVALID],
    ["an encrypted one", `${encode({ alg: "dir", enc: "A256GCM" })}..a.b.c`, Reason.KEY_INVALID],
    ["too long", `${head}.${"A".repeat(17_000)}.${signature}`, Reason.KEY_INVALID],
    ["nothing", "", Reason.KEY_INVALID],
    ["no JSON", "YWJj.YWJj.YWJj", Reason.KEY_INVALID],
    ["an id that no database keeps", await provider.sign({ sub: "a\0b" }), Reason.KEY_INVALID],
  ];
  for (const [what, token, reason] of cases) assert.equal(await refusal(setup, token), reason, what);
  assert.equal(keyFetches(setup), 1);
  await setup.close();

  async function withOwnKey() {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const jwk = publicKey.export({ format: "jwk" });
    return new SignJWT({ iss: provider.issuer, sub: "a", aud: "urn:sluice", exp: now + 60 })
      .setProtectedHeader({ alg: "ES256", kid: "first", jwk: { ...jwk, kty: "EC" } })
      .sign(privateKey);
  }
});

test("a replaced key is found at the first token that it has signed; the old one goes with its time", async () => {
  const setup = await setUpTokens(url, `${upsert}\npublic_key_ttl: 300`);
  const { provider, clock } = setup;
  const old = await provider.sign({ exp: seconds(clock.now) + 3600 });
  assert.equal(await refusal(setup, old), undefined);
  await provider.replaceKey();
  const fresh = await provider.sign({ exp: seconds(clock.now) + 3600 });
  assert.equal(await refusal(setup, fresh), Reason.KEY_INVALID);
  clock.now += 60_000;
  assert.equal(await refusal(setup, fresh), undefined);
  assert.equal(await refusal(setup, old), Reason.KEY_INVALID);
  assert.equal(keyFetches(setup), 2);
  clock.now += 301_000;
  assert.equal(await refusal(setup, fresh), undefined);
  assert.equal(keyFetches(setup), 3);
  await setup.close();
});

test("keys of one name at two providers are two keys, and one that changes under its name is found", async () => {
  const other = await startIdentityProvider();
  const setup = await setUpTokens(url, upsert, {
    env: (provider) => ({
      JWT_PUBLIC_KEY_URL: `${other.issuer}/jwks,${provider.issuer}/jwks`,
      JWT_AUDIENCE: "urn:sluice",
    }),
  });
  const { provider, clock } = setup;
  assert.equal(await refusal(setup, await provider.sign()), undefined);
  assert.equal(await refusal(setup, await other.sign()), undefined);
  await provider.replaceKey("first");
  clock.now += 60_000;
  assert.equal(await refusal(setup, await provider.sign()), undefined);
  await setup.close();
  await other.stop();
});

test("an issuer that is down, slow, broken or without end is nobody's fault: 503 without keys, the old keys with them", async () => {
  for (const fault of ["down", "slow", "huge", "broken"] as const) {
    const setup = await setUpTokens(url, upsert);
    const { provider, clock } = setup;
    const token = await provider.sign({ exp: seconds(clock.now) + 90_000 });
    provider.fault = fault;
    const began = performance.now();
    assert.equal(await refusal(setup, token), Reason.UNAVAILABLE, fault);
    const asked = provider.asked.length;
    // Within five seconds nobody waits for it again.
    assert.equal(await refusal(setup, token), Reason.UNAVAILABLE, fault);
    assert.equal(provider.asked.length, asked);
    assert.ok(performance.now() - began < 20_000);
    provider.fault = "none";
    clock.now += 5_000;
    assert.equal(await refusal(setup, token), undefined, fault);
    provider.fault = fault;
    clock.now += 3_600_000;
    assert.equal(await refusal(setup, token), undefined, `${fault}, with keys`);
    await setup.close();
  }
});

test("a flood of tokens with keys that nobody has costs one question a minute", async () => {
  const setup = await setUpTokens(url, upsert);
  const { provider, clock } = setup;
  assert.equal(await refusal(setup, await provider.sign()), undefined);
  const good = await provider.sign();
  const [, body = "", signature = ""] = good.split(".");
  const tokens = Array.from({ length: 2_000 }, (_, at) => {
    const header = Buffer.from(
      JSON.stringify({ alg: at % 2 === 0 ? "RS256" : "ES256", kid: randomBytes(8).toString("hex") }),
    );
    return `${header.toString("base64url")}.${body}.${signature}`;
  });
  for (const minute of [0, 1]) {
    clock.now += minute * 60_000;
    const found = new Set<Reason | undefined>();
    for (let from = 0; from < tokens.length; from += 50) {
      const some = tokens.slice(from, from + 50);
      for (const each of await Promise.all(some.map((token) => refusal(setup, token)))) found.add(each);
    }
    assert.deepEqual(found, new Set([Reason.KEY_INVALID]));
    assert.equal(keyFetches(setup), 1 + minute);
  }
  await setup.close();
});

test("of 10,000 broken tokens none is let in and none does harm", async () => {
  const setup = await setUpTokens(url, upsert);
  const good = await setup.provider.sign({ exp: seconds(setup.clock.now) + 86_400 });
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=/+ \0é";
  let seed = 42;
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed % below;
  };
  const letter = () => alphabet[random(alphabet.length)] ?? "";
  const mutations: ((token: string) => string)[] = [
    (token) => {
      const at = random(token.length);
      return token.slice(0, at) + letter() + token.slice(at + 1);
    },
    (token) => token.slice(0, random(token.length)),
    (token) => token.slice(random(token.length) + 1),
    (token) => token + letter() + letter(),
    (token) =>
      token
        .split(".")
        .toSorted(() => random(3) - 1)
        .join("."),
    (token) =>
      token
        .split(".")
        .map((part, at) => (at === random(3) ? "" : part))
        .join("."),
    () => Array.from({ length: random(200) }, letter).join(""),
    () => [0, 1, 2].map(() => randomBytes(random(60) + 1).toString("base64url")).join("."),
    (token) => {
      const [head = "", , signature = ""] = token.split(".");
      const claims = [null, [], 1, "x", { exp: {} }, { sub: { a: 1 } }, { exp: 1e308, sub: [] }][random(7)];
      return `${head}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.${signature}`;
    },
    (token) => {
      const header = [
        null,
        {},
        [],
        { alg: 5 },
        { alg: "RS256", kid: {} },
        { alg: "RS256", kid: "first", b64: false, crit: ["b64"] },
      ][random(6)];
      return [Buffer.from(JSON.stringify(header)).toString("base64url"), ...token.split(".").slice(1)].join(".");
    },
  ];
  const seen = new Set<Reason | undefined>();
  for (let at = 0; at < 10_000; at += 1) {
    const token = mutations[at % mutations.length]?.(good) ?? "";
    // The last letter of a signature has bits that mean nothing: another letter may be the same signature.
    if (
      Buffer.from(token.split(".")[2] ?? "", "base64url").equals(Buffer.from(good.split(".")[2] ?? "", "base64url")) &&
      token.startsWith(good.slice(0, good.lastIndexOf(".")))
    )
      continue;
    seen.add(await refusal(setup, token));
  }
  assert.deepEqual(seen, new Set([Reason.KEY_INVALID]));
  assert.equal(await refusal(setup, good), undefined);
  await setup.close();
});

test("a master key that looks like a token is the master key", async () => {
  const setup = await setUpTokens(url, upsert);
  assert.equal((await setup.who("sk-master")).keyId, masterKeyHash);
  await setup.close();
});

test("where no tokens are accepted, none is", async () => {
  const { setUp } = await import("../testing/auth-fixture.ts");
  const { auth, close } = await setUp(url);
  await assert.rejects(auth.authenticateToken({ token: "a.b.c" }), /not accepted here/);
  await close();
});

test("what is made for a token says so", async () => {
  const setup = await setUpTokens(url, upsert);
  await setup.who(await setup.provider.sign({ sub: "made by a token" }));
  const { userInfo } = await setup.client(UserService).getUserInfo({ userId: "made by a token" }, master);
  assert.equal(userInfo?.settings?.ssoUserId, "made by a token");
  await setup.close();
});
