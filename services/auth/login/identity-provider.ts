import type { Configuration, CustomFetch } from "openid-client";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { loginRefused, type PendingLogin } from "./pending-login.ts";
import type { Claims } from "./provider-claims.ts";
import type { LoginEndpoints, LoginProvider, LoginSettings } from "./settings.ts";

type Library = typeof import("openid-client");

/** What the provider's page is told, and what of it stays here until the browser comes back. */
export interface BegunLogin extends Pick<PendingLogin, "verifier" | "nonce" | "state"> {
  readonly authorizationUrl: string;
}

export interface LoginAtProvider {
  /** @throws UNAVAILABLE where the provider does not say where its pages are. */
  begin(): Promise<BegunLogin>;
  /**
   * Fetches what the provider says of who has come back.
   *
   * @throws KEY_INVALID where the answer is no good, UNAVAILABLE where the provider gives none.
   */
  complete(query: string, login: PendingLogin): Promise<Claims>;
}

const timeoutSeconds = 10;
const maxAnswerBytes = 1024 * 1024;

/** The protocol's library, which is loaded when somebody first logs in, and what it has found out of the provider. */
interface Connection {
  readonly library: Library;
  readonly configuration: Configuration;
}

export function createLoginAtProvider({ provider, baseUrl }: LoginSettings): LoginAtProvider {
  const redirectUri = `${baseUrl}/sso/callback`;
  const isOpenId = "issuer" in provider.server;
  let connecting: Promise<Connection> | undefined;

  /** What was found stays; what failed is tried again by the next login. */
  function connect(): Promise<Connection> {
    connecting ??= connectTo(provider).catch((error: unknown) => {
      connecting = undefined;
      throw unavailable(error);
    });
    return connecting;
  }

  return {
    async begin() {
      const { library, configuration } = await connect();
      const [verifier, nonce, state] = [library.randomPKCECodeVerifier(), library.randomNonce(), library.randomState()];
      const url = library.buildAuthorizationUrl(configuration, {
        redirect_uri: redirectUri,
        response_type: "code",
        scope: provider.scope,
        code_challenge: await library.calculatePKCECodeChallenge(verifier),
        code_challenge_method: "S256",
        state,
        ...(isOpenId ? { nonce } : {}),
      });
      return { authorizationUrl: url.href, verifier, nonce, state };
    },
    async complete(query, login) {
      const connection = await connect();
      const url = new URL(`${redirectUri}?${query}`);
      if (!isOpenId) url.searchParams.delete("iss");
      try {
        return await claimsOf(connection, url, isOpenId ? login : { ...login, nonce: undefined });
      } catch (error) {
        throw refusalOf(connection.library, error);
      }
    },
  };
}

async function connectTo({ server, clientId, clientSecret }: LoginProvider): Promise<Connection> {
  const library = await import("openid-client");
  const secret = clientSecret?.reveal();
  const authentication = secret === undefined ? library.None() : library.ClientSecretPost(secret);
  if (!("issuer" in server)) return { library, configuration: ofEndpoints(library, server, clientId, authentication) };
  const configuration = await library.discovery(new URL(server.issuer), clientId, secret, authentication, {
    [library.customFetch]: fetchBounded,
    timeout: timeoutSeconds,
    execute: [library.enableNonRepudiationChecks, ...insecure(library, server.issuer)],
  });
  return { library, configuration };
}

/** Exchanges the code, and asks for what the ID token does not say. Without a nonce there is no ID token. */
async function claimsOf(
  { library, configuration }: Connection,
  url: URL,
  { verifier, state, nonce }: Pick<PendingLogin, "verifier" | "state"> & { readonly nonce: string | undefined },
): Promise<Claims> {
  const tokens = await library.authorizationCodeGrant(configuration, url, {
    pkceCodeVerifier: verifier,
    expectedState: state,
    ...(nonce === undefined ? {} : { expectedNonce: nonce }),
  });
  const stated = tokens.claims();
  if (configuration.serverMetadata().userinfo_endpoint === undefined) return { ...stated };
  const subject = stated?.sub ?? library.skipSubjectCheck;
  return { ...stated, ...(await library.fetchUserInfo(configuration, tokens.access_token, subject)) };
}

/**
 * A provider whose endpoints alone are known. Who issues its ID tokens nobody has said, so that none can be checked: they
 * are left out, and whom the access token is of is asked.
 */
function ofEndpoints(
  library: Library,
  { authorization, token, userinfo }: LoginEndpoints,
  clientId: string,
  authentication: ReturnType<Library["None"]>,
): Configuration {
  const server = {
    issuer: new URL(token).origin,
    authorization_endpoint: authorization,
    token_endpoint: token,
    userinfo_endpoint: userinfo,
  };
  const configuration = new library.Configuration(server, clientId, undefined, authentication);
  configuration.timeout = timeoutSeconds;
  configuration[library.customFetch] = async (url, options) => {
    const response = await fetchBounded(url, options);
    return url === token ? withoutIdToken(response) : response;
  };
  for (const apply of insecure(library, token)) apply(configuration);
  return configuration;
}

/** An address without TLS is used where the operator has written one. */
function insecure(library: Library, address: string): ((configuration: Configuration) => void)[] {
  return address.startsWith("http:") ? [library.allowInsecureRequests] : [];
}

/** Redirects are not followed, and an answer without end is none. */
const fetchBounded: CustomFetch = async (url, options) => {
  const response = await fetch(url, { ...options, body: options.body ?? null, redirect: "manual" });
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of response.body ?? []) {
    size += piece.length;
    if (size > maxAnswerBytes) throw new Error(`the identity provider's answer is larger than ${maxAnswerBytes} bytes`);
    pieces.push(piece);
  }
  const { status, headers } = response;
  const body = Buffer.concat(pieces);
  return new Response(body.length === 0 ? null : body, { status, headers });
};

async function withoutIdToken(response: Response): Promise<Response> {
  const { status, headers } = response;
  const text = await response.text();
  const value: unknown = response.ok ? JSON.parse(text) : undefined;
  if (typeof value !== "object" || value === null) return new Response(text, { status, headers });
  return Response.json({ ...value, id_token: undefined }, { status });
}

/** What the provider or the browser has said is a refusal; where nobody could be asked, it may go well later. */
function refusalOf(library: Library, error: unknown): Error {
  if (error instanceof library.AuthorizationResponseError) {
    return loginRefused(`the identity provider says ${error.error.slice(0, 100)}`, error);
  }
  if (error instanceof library.ResponseBodyError) {
    return error.status >= 500 ? unavailable(error) : loginRefused("the identity provider does not accept it", error);
  }
  if (error instanceof TypeError || (error instanceof Error && error.name === "TimeoutError"))
    return unavailable(error);
  return loginRefused("the identity provider's answer is not for it", error);
}

function unavailable(cause: unknown) {
  return gatewayError(Reason.UNAVAILABLE, "The identity provider does not answer. Try again.", {
    retryAfterMs: 1000,
    cause,
  });
}
