import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from "jose";
import { Provider } from "oidc-provider";

/** A real OpenID provider on this machine, whose every answer a test can take away. */
export interface IdentityProvider {
  readonly issuer: string;
  readonly introspectionUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** What the access tokens of this client say beside the standard's claims. */
  claims: Record<string, string | string[] | object>;
  /** What is wrong with the provider: nothing, until a test says so. */
  fault: "none" | "down" | "slow" | "huge" | "broken";
  /** What the provider was asked, in order. */
  readonly asked: string[];
  /** An access token by client credentials: a JWT for the resource `urn:sluice`, an opaque one for `urn:opaque`. */
  issue(resource?: string, scope?: string): Promise<string>;
  /** A token that is signed as the provider signs, with claims of one's own over the usual ones; null leaves one out. */
  sign(claims?: Record<string, unknown>, header?: Record<string, string>): Promise<string>;
  revoke(token: string): Promise<void>;
  /** From now on the provider signs with another key, and publishes that one alone. */
  replaceKey(kid?: string): Promise<void>;
  /** The public key, as the provider publishes it. */
  publicJwk(): Promise<JWK>;
  stop(): Promise<void>;
}

interface SigningKey {
  readonly kid: string;
  readonly privateKey: Awaited<ReturnType<typeof generateKeyPair>>["privateKey"];
  readonly publicJwk: JWK;
}

const client = { id: "tests", secret: "a-secret-of-the-tests" };
const slowMs = 5_000;

export async function startIdentityProvider(): Promise<IdentityProvider> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const issuer = `http://127.0.0.1:${port}`;
  const first = await makeKey("first");
  const state = { key: first, claims: {}, fault: "none", asked: [] } as Pick<
    IdentityProvider,
    "claims" | "fault" | "asked"
  > & { key: SigningKey };
  const answer = createProvider(issuer, await privateJwk(first), () => state.claims).callback();
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    state.asked.push(request.url ?? "");
    if (state.fault === "down") return void request.socket.destroy();
    if (state.fault === "huge") return void response.end(`{"keys":[${'"x",'.repeat(2_000_000)}"x"]}`);
    if (state.fault === "broken") return void response.end("<html>");
    if (state.fault === "slow") return void setTimeout(() => response.end("{}"), slowMs).unref();
    if (request.url === "/jwks" && state.key !== first) {
      return void response.end(JSON.stringify({ keys: [state.key.publicJwk] }));
    }
    void answer(request, response);
  });
  const post = async (path: string, form: Record<string, string>) => {
    const authorization = `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString("base64")}`;
    return fetch(issuer + path, { method: "POST", headers: { authorization }, body: new URLSearchParams(form) });
  };
  return Object.assign(state, {
    issuer,
    introspectionUrl: `${issuer}/token/introspection`,
    clientId: client.id,
    clientSecret: client.secret,
    async issue(resource = "urn:sluice", scope = "chat") {
      const response = await post("/token", { grant_type: "client_credentials", resource, scope });
      const body: unknown = await response.json();
      assert.ok(typeof body === "object" && body !== null && "access_token" in body, JSON.stringify(body));
      return String(body.access_token);
    },
    sign: (claims: Record<string, unknown> = {}, header: Record<string, string> = {}) =>
      sign(issuer, state.key, claims, header),
    async revoke(token: string) {
      assert.equal((await post("/token/revocation", { token })).status, 200);
    },
    async replaceKey(kid = "second") {
      state.key = await makeKey(kid);
    },
    publicJwk: async () => state.key.publicJwk,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

function createProvider(issuer: string, key: JWK, claims: () => IdentityProvider["claims"]): Provider {
  return new Provider(issuer, {
    clients: [
      {
        client_id: client.id,
        client_secret: client.secret,
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
      },
    ],
    jwks: { keys: [{ ...key }] },
    cookies: { keys: ["of the tests"] },
    extraTokenClaims: () => claims(),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({
          scope: "chat litellm_proxy_admin",
          audience: resource,
          accessTokenFormat: resource === "urn:opaque" ? "opaque" : "jwt",
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
    ttl: { ClientCredentials: 600 },
  });
}

async function makeKey(kid: string): Promise<SigningKey> {
  const { publicKey, privateKey } = await generateKeyPair("RS256", { extractable: true });
  const publicJwk = { ...(await exportJWK(publicKey)), kid, alg: "RS256", use: "sig" };
  return { kid, privateKey, publicJwk };
}

async function privateJwk({ kid, privateKey }: SigningKey): Promise<JWK> {
  return { ...(await exportJWK(privateKey)), kid, alg: "RS256", use: "sig" };
}

function sign(issuer: string, key: SigningKey, claims: Record<string, unknown>, header: Record<string, string>) {
  const now = Math.floor(Date.now() / 1000);
  const usual: Record<string, unknown> = { iss: issuer, sub: "somebody", aud: "urn:sluice", iat: now, exp: now + 600 };
  const all = Object.entries({ ...usual, ...claims }).filter(([, value]) => value !== null);
  const payload: JWTPayload = Object.fromEntries(all);
  return new SignJWT(payload).setProtectedHeader({ alg: "RS256", kid: key.kid, ...header }).sign(key.privateKey);
}
