import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify, type LocalJWKSet } from "jose";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { IssuerKeys, type IssuerKeysOptions, type LoadedKeys } from "./issuer-keys.ts";
import { badToken, tokenUnchecked } from "./refusal.ts";
import type { JwtSettings } from "./settings.ts";

/** Signatures with a private key only: with `none` or a shared secret anybody could sign who knows what is public. */
const algorithms = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];

/** Returns the claims of a token that its issuer has signed and that is good now. */
export type TokenVerifier = (token: string) => Promise<JWTPayload>;

/**
 * Checks JWTs: signature, issuer, audience and times (https://www.rfc-editor.org/rfc/rfc8725).
 *
 * The verifier rejects with KEY_INVALID or KEY_EXPIRED for a token that is no good, and with UNAVAILABLE where the
 * issuer's keys cannot be had.
 */
export function createTokenVerifier(
  settings: JwtSettings,
  { clock, unanswered }: Pick<IssuerKeysOptions, "clock" | "unanswered">,
): TokenVerifier {
  const sources = settings.addresses.map(
    (address) => new IssuerKeys({ address, ttlMs: settings.keyTtlMs, staleMs: settings.keyStaleMs, clock, unanswered }),
  );
  return async (token) => {
    const issuer = statedIssuer(token);
    const verify = (keys: LoadedKeys) => verifyWith(token, keys.find, settings, clock());
    let unanswered = false;
    for (const source of sources) {
      // Tokens of others never cause a question to this issuer.
      if (source.issuer !== undefined && source.issuer !== issuer) continue;
      const keys = await source.get();
      unanswered ||= keys === undefined;
      if (keys === undefined || (keys.issuer !== undefined && keys.issuer !== issuer)) continue;
      const claims = (await verify(keys)) ?? (await again(source, verify));
      if (claims !== undefined) return claims;
    }
    if (unanswered) throw tokenUnchecked();
    throw badToken("no key of an accepted issuer has signed it");
  };
}

async function again(source: IssuerKeys, verify: (keys: LoadedKeys) => Promise<JWTPayload | undefined>) {
  const keys = await source.getAnew();
  return keys === undefined ? undefined : verify(keys);
}

/**
 * The issuer that a token names, before anything of it is verified.
 *
 * @throws KEY_INVALID where it is no JWT, or is signed in a way that is never accepted.
 */
export function statedIssuer(token: string): string | undefined {
  try {
    const { alg } = decodeProtectedHeader(token);
    if (alg === undefined || !algorithms.includes(alg)) throw badToken("its algorithm is not accepted");
    return decodeJwt(token).iss;
  } catch (error) {
    throw error instanceof TypeError || error instanceof errors.JOSEError ? badToken("it is malformed") : error;
  }
}

/**
 * Undefined where none of these keys has signed the token: another issuer may have a key of the same name, and this one a
 * new one.
 */
async function verifyWith(
  token: string,
  find: LocalJWKSet,
  settings: JwtSettings,
  now: number,
): Promise<JWTPayload | undefined> {
  const { issuers, audiences, toleranceSeconds } = settings;
  const options = {
    algorithms: [...algorithms],
    ...(issuers.length === 0 ? {} : { issuer: [...issuers] }),
    ...(audiences.length === 0 ? {} : { audience: [...audiences] }),
    clockTolerance: toleranceSeconds,
    requiredClaims: ["exp"],
    currentDate: new Date(now),
  };
  try {
    const { payload } = await jwtVerify(token, find, options).catch(async (error: unknown) => {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      for await (const key of error) {
        const verified = await jwtVerify(token, key, options).catch(unlessUnsigned);
        if (verified !== undefined) return verified;
      }
      throw new errors.JWSSignatureVerificationFailed();
    });
    if (payload.iat !== undefined && payload.iat * 1000 > now + toleranceSeconds * 1000) {
      throw badToken("it was issued in the future (iat)");
    }
    return payload;
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) return undefined;
    if (error instanceof errors.JWSSignatureVerificationFailed) return undefined;
    throw refusalOf(error);
  }
}

function unlessUnsigned(error: unknown): undefined {
  if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
}

/** Whatever else comes of a token that somebody else has written is the token's fault. */
function refusalOf(error: unknown) {
  if (error instanceof errors.JWTExpired) {
    return gatewayError(Reason.KEY_EXPIRED, "Authentication Error - Expired Key. The token's time is over (exp).", {
      param: "token",
    });
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    const standard = ["iss", "aud", "exp", "nbf", "iat", "sub"].includes(error.claim);
    return badToken(`its claim ${standard ? error.claim : "typ"} is not accepted`);
  }
  return error instanceof Error && error.name === "ConnectError" ? error : badToken("it is malformed");
}
