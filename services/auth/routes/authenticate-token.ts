import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError } from "#chassis/database/database.ts";
import { findGatewayError } from "#chassis/errors.ts";
import { isSignedToken, maxTokenLength } from "#chassis/token-form.ts";
import type { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { RouteContext } from "../context.ts";
import { gatewayScopes } from "../limit-scopes.ts";
import { masterPrincipal } from "../principal.ts";
import { hashKey } from "../secret-key.ts";
import type { Identity } from "../tokens/identity.ts";
import { readIntrospectedIdentity } from "../tokens/introspected-identity.ts";
import { createTokenIntrospector } from "../tokens/introspection.ts";
import { readJwtIdentity } from "../tokens/jwt-identity.ts";
import { badToken } from "../tokens/refusal.ts";
import { tokenPrincipal } from "../tokens/token-principal.ts";
import { createTokenVerifier, statedIssuer } from "../tokens/verify-token.ts";

export function authenticateToken(context: RouteContext): ServiceImpl<typeof AuthService>["authenticateToken"] {
  const { masterKeys, telemetry, clock } = context;
  const identify = identifier(context);
  const gateway = gatewayScopes(context.config.tenancyRules);
  return async ({ token, teamId }) => {
    if (token === "" || token.length > maxTokenLength) throw badToken(`it must have 1 to ${maxTokenLength} characters`);
    // A master key may look like anything.
    const keyId = hashKey(token);
    try {
      const master = await masterKeys.accepted(keyId, new Date(clock()));
      if (master !== undefined) {
        telemetry.authenticated("master");
        return { principal: bound(masterPrincipal(keyId, master.until)) };
      }
      const identity = await identify(token);
      const principal = await tokenPrincipal(context, identity, teamId);
      telemetry.authenticated("token");
      for (const alternative of principal.alternatives) bound(alternative);
      return { principal: bound(principal) };
    } catch (thrown) {
      const error = databaseError(thrown);
      const unavailable = findGatewayError(error)?.reason === Reason.UNAVAILABLE;
      telemetry.authenticated(unavailable ? "unavailable" : "refused_token");
      throw error;
    }
  };

  function bound(principal: Principal): Principal {
    principal.scopes.push(...gateway);
    return principal;
  }
}

/** Whom a token names: a JWT by its signature, any other by its server's word. */
function identifier({ config: { tokens }, clock, telemetry }: RouteContext): (token: string) => Promise<Identity> {
  const { jwt, introspection, userInfo } = tokens;
  const issuers = jwt.map((settings) => ({
    settings,
    verify: createTokenVerifier(settings, { clock, unanswered: telemetry.issuerUnanswered }),
  }));
  const introspect = introspection && createTokenIntrospector(introspection, clock);
  const askUserInfo = userInfo && createTokenIntrospector(userInfo.question, clock);
  return async (token) => {
    if (issuers.length > 0 && isSignedToken(token)) {
      const named = statedIssuer(token);
      const found =
        issuers.find(({ settings }) => named !== undefined && settings.issuers.includes(named)) ??
        issuers.find(({ settings }) => settings.issuers.length === 0);
      if (found === undefined) throw badToken("its issuer is not accepted");
      return readJwtIdentity(await found.verify(token), found.settings);
    }
    if (introspection !== undefined && introspect !== undefined) {
      return readIntrospectedIdentity(await introspect(token), introspection);
    }
    if (userInfo !== undefined && askUserInfo !== undefined) {
      // What an endpoint says of somebody is that endpoint's word.
      const facts = { ...(await askUserInfo(token)), iss: userInfo.question.url };
      return readJwtIdentity(facts, userInfo.meaning);
    }
    throw badToken("tokens of this kind are not accepted here");
  };
}
