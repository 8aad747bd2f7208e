import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { ConnectError } from "@connectrpc/connect";
import { upstreamError } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { type AwsKeys, readAwsCredential } from "../aws-credential.ts";
import type { AwsScope, ProviderCall } from "../provider.ts";
import { parseObject, textOf } from "../translate/json-reading.ts";
import { createTokenCache } from "./token-cache.ts";

/** What keys are asked of, where a deployment does not give them as they are. */
export interface AwsKeySource {
  readonly region: string;
  /** A role to take; empty for none. */
  readonly role: string;
  readonly session: string;
  /** What the role's owner asks of others; empty for nothing. */
  readonly externalId: string;
  /** Empty for the one that AWS has in the region. */
  readonly stsEndpoint: string;
  /** A profile of AWS' configuration files; empty for none. */
  readonly profile: string;
  readonly webIdentityToken: string;
  /** The keys that the role is taken with; where they are missing, those that are found. */
  readonly keys: AwsKeys | undefined;
}

/** Keys and until when they hold; absent for keys without an end. */
export interface FoundKeys extends AwsKeys {
  readonly expiration?: Date | undefined;
}

export type FindAwsKeys = (source: AwsKeySource) => Promise<FoundKeys>;

/** The keys that a call is signed with. Throws the error of `upstreamError` where there are none. */
export type AwsKeysOf = (call: ProviderCall, scope: AwsScope, signal: AbortSignal) => Promise<AwsKeys>;

/** How long keys without an end are kept, so that a changed file is seen. */
const unendingMs = 3_600_000;
const timeouts = { connectionTimeout: 5_000, requestTimeout: 15_000 };

/**
 * Finds the keys of a call in LiteLLM's order: a web identity, a role, a profile, the keys as given, and last the places
 * where AWS' own libraries look: environment, files, single sign-on, container, instance. What is asked for is kept until
 * shortly before its end and asked for once by all who wait. `now` is the time in milliseconds since 1970.
 */
export function createAwsKeys(now: () => number, find: FindAwsKeys = findKeys): AwsKeysOf {
  const cache = createTokenCache(now);
  return async (call, scope, signal) => {
    const source = sourceOf(call, scope);
    const asks = source.role !== "" || source.profile !== "" || source.webIdentityToken !== "";
    if (source.keys !== undefined && !asks) return source.keys;
    const fetchKeys = async () => {
      const { expiration, ...keys } = await find(source).catch((error: unknown) => {
        throw failure(source, scope, error);
      });
      const lifetimeMs = expiration === undefined ? unendingMs : expiration.getTime() - now();
      return { value: JSON.stringify(keys), lifetimeMs };
    };
    const id = createHash("sha256").update(JSON.stringify(source)).digest("hex");
    const { accessKeyId, secretAccessKey, sessionToken } = parseObject(await cache(id, fetchKeys, signal)) ?? {};
    return {
      accessKeyId: textOf(accessKeyId),
      secretAccessKey: textOf(secretAccessKey),
      sessionToken: textOf(sessionToken),
    };
  };
}

function sourceOf({ credential, settings }: ProviderCall, { region }: AwsScope): AwsKeySource {
  const { keys, webIdentityToken } = readAwsCredential(credential);
  return {
    region,
    role: settings.aws_role_name ?? "",
    session: settings.aws_session_name || "sluice",
    externalId: settings.aws_external_id ?? "",
    stsEndpoint: settings.aws_sts_endpoint ?? "",
    profile: settings.aws_profile_name ?? "",
    webIdentityToken,
    keys,
  };
}

/** Asks AWS' own library. https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html */
async function findKeys(source: AwsKeySource): Promise<FoundKeys> {
  const { fromIni, fromNodeProviderChain, fromTemporaryCredentials, fromWebToken } = await import(
    "@aws-sdk/credential-providers"
  );
  const { region, role, session, profile } = source;
  const patience = { maxAttempts: 2, requestHandler: timeouts };
  const endpoint = source.stsEndpoint === "" ? {} : { endpoint: source.stsEndpoint };
  const clientConfig = { region, ...endpoint, ...patience };
  // A profile names the regions of what it asks by itself, single sign-on for one.
  const places = { clientConfig: patience, ignoreCache: true };
  const own = () => (profile === "" ? fromNodeProviderChain(places) : fromIni({ profile, ...places }));
  if (source.webIdentityToken !== "") {
    if (role === "") throw new MissingRole();
    const webIdentityToken = await readToken(source.webIdentityToken);
    return keysOf(await fromWebToken({ roleArn: role, roleSessionName: session, webIdentityToken, clientConfig })());
  }
  if (role === "") return keysOf(await own()());
  const external = source.externalId === "" ? {} : { ExternalId: source.externalId };
  const given = source.keys;
  const temporary = fromTemporaryCredentials({
    params: { RoleArn: role, RoleSessionName: session, ...external },
    masterCredentials: given === undefined ? own() : { ...given, sessionToken: given.sessionToken || undefined },
    clientConfig,
  });
  return keysOf(await temporary());
}

interface Identity {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
  readonly expiration?: Date | undefined;
}

function keysOf({ accessKeyId, secretAccessKey, sessionToken = "", expiration }: Identity): FoundKeys {
  return { accessKeyId, secretAccessKey, sessionToken, expiration };
}

class MissingRole extends Error {
  override readonly name = "MissingRole";
  override readonly message = "aws_web_identity_token needs aws_role_name, the role that the token stands for";
}

class TokenProblem extends Error {
  override readonly name = "TokenProblem";
}

/** A token as it is, or LiteLLM's `oidc/file/<path>`: a file that its owner renews. */
async function readToken(token: string): Promise<string> {
  if (!token.startsWith("oidc/")) return token;
  const path = /^oidc\/file\/(.+)$/.exec(token)?.[1];
  if (path === undefined) throw new TokenProblem("aws_web_identity_token is neither a token nor oidc/file/<path>");
  const text = await readFile(path, "utf8").catch(() => "");
  if (text.trim() === "") throw new TokenProblem("the file of aws_web_identity_token cannot be read or is empty");
  return text.trim();
}

/** Network failures and those of AWS itself may pass; every other one is for the operator to mend. */
function failure(source: AwsKeySource, { service }: AwsScope, cause: unknown): ConnectError {
  if (cause instanceof ConnectError) return cause;
  const name = cause instanceof Error ? cause.name : "";
  const status = statusOf(cause);
  const isOurs = name === "MissingRole" || name === "TokenProblem" || /Provider(?:s)?Error$/.test(name);
  if (!isOurs && (status === undefined || status >= 500 || /throttl/i.test(name))) {
    const kind = status === undefined ? UpstreamErrorKind.CONNECTION : UpstreamErrorKind.UNAVAILABLE;
    const message = `${service}: AWS' token service cannot be reached or failed`;
    return upstreamError({ kind, httpStatus: 503, provider: service, retryable: true, message, cause });
  }
  return upstreamError({
    kind: UpstreamErrorKind.AUTHENTICATION,
    httpStatus: 401,
    provider: service,
    retryable: false,
    message: messageOf(source, service, cause),
    type: "authentication_error",
    code: "invalid_api_key",
    cause,
  });
}

function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("$metadata" in error)) return undefined;
  const metadata = error.$metadata;
  if (typeof metadata !== "object" || metadata === null || !("httpStatusCode" in metadata)) return undefined;
  return typeof metadata.httpStatusCode === "number" ? metadata.httpStatusCode : undefined;
}

function messageOf({ role, profile, webIdentityToken }: AwsKeySource, service: string, cause: unknown): string {
  const said = cause instanceof Error ? cause.message.slice(0, 300) : "";
  if (role !== "" || webIdentityToken !== "") return `${service}: the role could not be taken: ${said}`;
  if (profile !== "") return `${service}: aws_profile_name gives no keys: ${said}`;
  const key = service === "bedrock" ? ", or AWS_BEARER_TOKEN_BEDROCK" : "";
  return `no credentials for ${service}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, aws_role_name or aws_profile_name${key}`;
}
