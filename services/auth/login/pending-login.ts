import { z } from "zod";
import { gatewayError } from "#chassis/errors.ts";
import type { Sealer } from "#chassis/sealing.ts";
import { Secret } from "#chassis/secret.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";

/** A login that has begun, as the browser keeps it. */
export interface PendingLogin {
  /** PKCE's secret, https://www.rfc-editor.org/rfc/rfc7636 */
  readonly verifier: string;
  readonly nonce: string;
  readonly state: string;
  readonly returnPath: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** What a sealed login begins with: nothing else that is sealed with the same key is one. */
const purpose = "login:";
const maxLength = 4_000;
const schema = z.object({
  verifier: z.string(),
  nonce: z.string(),
  state: z.string(),
  returnPath: z.string(),
  expiresAt: z.number(),
});

export function sealPendingLogin(sealer: Sealer, login: PendingLogin): string {
  return Buffer.from(sealer.seal(new Secret(purpose + JSON.stringify(login)))).toString("base64url");
}

/** @throws KEY_INVALID where there is none, it is not ours, or it is too old. */
export function openPendingLogin(sealer: Sealer, sealed: string, now: number): PendingLogin {
  if (sealed === "" || sealed.length > maxLength) throw loginRefused("this browser has begun no login");
  const login = open(sealer, sealed);
  if (login === undefined) throw loginRefused("this browser has begun no login");
  if (login.expiresAt <= now) throw loginRefused("it has taken too long");
  return login;
}

function open(sealer: Sealer, sealed: string): PendingLogin | undefined {
  try {
    const text = sealer.open(Buffer.from(sealed, "base64url")).reveal();
    return text.startsWith(purpose) ? schema.parse(JSON.parse(text.slice(purpose.length))) : undefined;
  } catch {
    return undefined;
  }
}

/** The refusal of a login; whoever has come begins a new one. */
export function loginRefused(why: string, cause?: unknown) {
  return gatewayError(Reason.KEY_INVALID, `The login was refused: ${why}. Log in again.`, { param: "login", cause });
}

/**
 * A path of the gateway that a browser may be sent to. An address of anybody else's would make a login page that looks
 * right lead to one that is not.
 *
 * @throws INVALID_REQUEST for anything else.
 */
export function readReturnPath(given: string): string {
  if (given === "") return "/";
  const base = "http://gateway.invalid";
  const url = /^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(given) && given.length <= 2_000 ? URL.parse(given, base) : null;
  if (url !== null && url.origin === base) return `${url.pathname}${url.search}${url.hash}`;
  throw gatewayError(Reason.INVALID_REQUEST, "return_to must be a path of this gateway, /ui for example.", {
    param: "return_to",
  });
}
