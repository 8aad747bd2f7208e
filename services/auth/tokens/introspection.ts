import { hash } from "node:crypto";
import { findClaim } from "./claims.ts";
import { fetchJson, type JsonAnswer } from "./fetch-json.ts";
import { badToken, tokenUnchecked } from "./refusal.ts";
import type { IntrospectionSettings } from "./settings.ts";

const limits = { timeoutMs: 2_000, maxBytes: 64 * 1024 };
const maxKept = 10_000;
const maxAsking = 64;

export type TokenFacts = NonNullable<JsonAnswer["body"]>;

/** Returns what the server knows of a token that is active. */
export type TokenIntrospector = (token: string) => Promise<TokenFacts>;

interface Kept {
  readonly at: number;
  /** Null is a token that is no good. */
  readonly facts: TokenFacts | null;
}

/**
 * Asks an OAuth 2.0 server what a token is: by https://www.rfc-editor.org/rfc/rfc7662 where the gateway has a client
 * there, else as LiteLLM does, with the token itself as the bearer of a GET. An answer is kept for a while, by the
 * token's whole hash.
 *
 * The introspector rejects with KEY_INVALID for a token that is not active, and with UNAVAILABLE where the server does not
 * answer.
 */
export function createTokenIntrospector(settings: IntrospectionSettings, clock: () => number): TokenIntrospector {
  const kept = new Map<string, Kept>();
  const asking = new Map<string, Promise<Kept>>();

  async function ask(key: string, token: string): Promise<Kept> {
    const answer = await fetchJson(settings.url, limits, questionOf(settings, token)).catch((error: unknown) => {
      throw tokenUnchecked(error);
    });
    const entry = { at: clock(), facts: readFacts(answer, settings, clock()) };
    kept.delete(key);
    kept.set(key, entry);
    const [oldest] = kept.keys();
    if (kept.size > maxKept && oldest !== undefined) kept.delete(oldest);
    return entry;
  }

  return async (token) => {
    const key = hash("sha256", token, "hex");
    const known = kept.get(key);
    const age = known === undefined ? Number.NaN : clock() - known.at;
    let entry = age >= 0 && age < settings.keptMs ? known : undefined;
    if (entry === undefined) {
      let running = asking.get(key);
      if (running === undefined) {
        if (asking.size >= maxAsking) throw tokenUnchecked("too many tokens wait to be checked");
        running = ask(key, token).finally(() => asking.delete(key));
        asking.set(key, running);
      }
      entry = await running;
    }
    if (entry.facts === null) throw badToken("its server does not know it, or no more");
    return entry.facts;
  };
}

function questionOf({ client }: IntrospectionSettings, token: string): RequestInit {
  const accept = "application/json";
  if (client === undefined) return { headers: { accept, authorization: `Bearer ${token}` } };
  // https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1: both are form-encoded before they are joined.
  const pair = `${encodeURIComponent(client.id)}:${encodeURIComponent(client.secret.reveal())}`;
  return {
    method: "POST",
    headers: { accept, authorization: `Basic ${Buffer.from(pair).toString("base64")}` },
    body: new URLSearchParams({ token, token_type_hint: "access_token" }),
  };
}

/** @throws UNAVAILABLE for an answer that says nothing of the token: the server is out of order, or refuses the gateway. */
function readFacts(
  { status, body }: JsonAnswer,
  { client, userIdField }: IntrospectionSettings,
  now: number,
): TokenFacts | null {
  const refused = [400, 401, 403, 404].includes(status);
  if (client === undefined && refused) return null;
  if (status !== 200 || body === undefined) throw tokenUnchecked(new Error(`the token server answered ${status}`));
  if (body.active === false || (client !== undefined && body.active !== true)) return null;
  const { exp, nbf } = body;
  if (typeof exp === "number" && exp * 1000 <= now) return null;
  if (typeof nbf === "number" && nbf * 1000 > now) return null;
  // An answer without a word on activity counts where it says whose the token is.
  return body.active === true || findClaim(body, userIdField) !== undefined ? body : null;
}
