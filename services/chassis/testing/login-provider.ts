import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair } from "jose";
import { Provider } from "oidc-provider";

/** What the provider says of one of its accounts, beside the subject. */
export type Account = Readonly<Record<string, string | boolean | readonly string[]>>;

/** A real OpenID provider on this machine, where people have accounts. */
export interface LoginProviderFixture {
  readonly issuer: string;
  /** Variables of a gateway that lets its people in. */
  readonly env: Readonly<Record<string, string>>;
  /** By subject. */
  readonly accounts: Map<string, Account>;
  /** Whether it hangs up on everybody. */
  down: boolean;
  stop(): Promise<void>;
}

const client = { id: "gateway", secret: "a-secret-of-the-tests-that-is-long" };

/** @param redirectUri Where browsers are sent back to. */
export async function startLoginProvider(redirectUri: string): Promise<LoginProviderFixture> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const issuer = `http://127.0.0.1:${port}`;
  const accounts = new Map<string, Account>();
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  const key = { ...(await exportJWK(privateKey)), kid: "one", alg: "RS256", use: "sig" };
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: client.id,
        client_secret: client.secret,
        redirect_uris: [redirectUri],
        token_endpoint_auth_method: "client_secret_post",
      },
    ],
    jwks: { keys: [key] },
    cookies: { keys: ["of the tests"] },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "preferred_username", "role"] },
    findAccount: (_, accountId) => ({ accountId, claims: () => ({ ...accounts.get(accountId), sub: accountId }) }),
  });
  const answer = provider.callback();
  const fixture = { down: false };
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    if (fixture.down) request.socket.destroy();
    else void answer(request, response);
  });
  return Object.assign(fixture, {
    issuer,
    env: { GENERIC_ISSUER: issuer, GENERIC_CLIENT_ID: client.id, GENERIC_CLIENT_SECRET: client.secret },
    accounts,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

/** A browser as far as a login needs one: it keeps cookies of every host, and fills in forms. */
export class ScriptedBrowser {
  readonly #cookies = new Map<string, Map<string, string>>();

  cookies(url: string): ReadonlyMap<string, string> {
    return this.#jar(url);
  }

  /** Sends one request with the cookies of its host, and keeps those that come back. Redirects are not followed. */
  async send(url: string, init: RequestInit = {}): Promise<Response> {
    const jar = this.#jar(url);
    const headers = new Headers(init.headers);
    if (jar.size > 0) headers.set("cookie", [...jar].map(([name, value]) => `${name}=${value}`).join("; "));
    const response = await fetch(url, { ...init, headers, redirect: "manual" });
    for (const line of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === "" || /max-age=0|expires=thu, 01 jan 1970/i.test(line)) jar.delete(name);
      else jar.set(name, value);
    }
    return response;
  }

  /** Logs somebody in at the provider's pages. Returns the address that the provider sends the browser back to. */
  async logIn(authorizationUrl: string, subject: string, back: string): Promise<string> {
    let url = authorizationUrl;
    for (let steps = 0; steps < 20; steps += 1) {
      if (url.startsWith(back)) return url;
      const page = await this.send(url);
      const location = page.headers.get("location");
      if (location !== null) {
        url = new URL(location, url).href;
        continue;
      }
      url = await this.#fillIn(url, await page.text(), subject);
    }
    assert.fail(`the login does not end: ${url}`);
  }

  async #fillIn(url: string, page: string, subject: string): Promise<string> {
    const prompt = /name="prompt" value="(\w+)"/.exec(page)?.[1];
    const action = /action="([^"]+)"/.exec(page)?.[1];
    assert.ok(prompt && action, page.slice(0, 2_000));
    const form = new URLSearchParams({ prompt, ...(prompt === "login" ? { login: subject, password: "any" } : {}) });
    const answer = await this.send(new URL(action, url).href, { method: "POST", body: form });
    return new URL(answer.headers.get("location") ?? "", url).href;
  }

  #jar(url: string): Map<string, string> {
    const { host } = new URL(url);
    const jar = this.#cookies.get(host) ?? new Map<string, string>();
    this.#cookies.set(host, jar);
    return jar;
  }
}
