import type { JsonObject } from "../provider.ts";
import type { Token } from "./token-cache.ts";

/** A token by a credential of Google's; by the machine's own identity where there is none. Rejects where there is no token. */
export type AskGoogleLibrary = (credential: JsonObject | undefined) => Promise<Token>;

const scopes = ["https://www.googleapis.com/auth/cloud-platform"];
const timeoutMs = 15_000;
/** Of a token whose end the library does not tell. */
const defaultLifetimeMs = 30 * 60_000;

/**
 * Asks Google's library, https://docs.cloud.google.com/docs/authentication/application-default-credentials, within 15
 * seconds: workload identity federation, impersonation, the user's own login, the metadata server. It is loaded on first
 * use. It reads the files and asks the addresses that the credential names, and runs a program only where
 * GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES allows it.
 */
export function createGoogleLibrary(now: () => number): AskGoogleLibrary {
  return async (credential) => {
    const { GoogleAuth } = await import("google-auth-library");
    const auth = new GoogleAuth({
      scopes,
      clientOptions: { transporterOptions: { timeout: timeoutMs } },
      ...(credential === undefined ? {} : { credentials: credential }),
    });
    const client = await withinTime(auth.getClient());
    const { token } = await withinTime(client.getAccessToken());
    if (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token)) throw new Error("the answer holds no token");
    const end = client.credentials.expiry_date;
    return { value: token, lifetimeMs: typeof end === "number" ? Math.max(0, end - now()) : defaultLifetimeMs };
  };
}

/** The library may ask more than one address, each with a time limit of its own. */
function withinTime<T>(promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(Object.assign(new Error("no answer in time"), { code: "ETIMEDOUT" })),
      timeoutMs,
    );
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
