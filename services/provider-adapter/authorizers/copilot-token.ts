import { createHash } from "node:crypto";
import type { Authorizer } from "../authorize.ts";
import { parseObject } from "../translate/json-reading.ts";
import { createTokenCache } from "./token-cache.ts";
import { fetchToken } from "./token-server.ts";

const server = { provider: "github_copilot", owner: "GitHub" };
const tokenAddress = "https://api.github.com/copilot_internal/v2/token";
const timeoutMs = 15_000;
const maxAnswerLength = 64 * 1024;

/** Asks GitHub for a token of Copilot's. */
export type AskGitHub = (
  url: string,
  headers: Readonly<Record<string, string>>,
) => Promise<{ status: number; body: string }>;

/**
 * Exchanges a token of GitHub's, which a login on a device gives out, for the short-lived one that Copilot takes. A key of
 * another kind is such a token already and passes as it is. `now` is the time in milliseconds since 1970.
 */
export function createCopilotToken(now: () => number, ask: AskGitHub = askGitHub): Authorizer {
  const tokens = createTokenCache(now);
  return async (_, request, signal) => {
    const key = /^Bearer ((?:gh[opu]_|github_pat_)\w+)$/.exec(request.headers.authorization ?? "")?.[1];
    if (key === undefined) return request;
    const { "editor-version": editor = "", "editor-plugin-version": plugin = "" } = request.headers;
    const headers = { authorization: `token ${key}`, accept: "application/json" };
    const editorHeaders = { "editor-version": editor, "editor-plugin-version": plugin };
    const fetchOne = () =>
      fetchToken(server, () => ask(tokenAddress, { ...headers, ...editorHeaders }).then(inOAuthWords), now());
    const token = await tokens(createHash("sha256").update(key).digest("hex"), fetchOne, signal);
    return { ...request, headers: { ...request.headers, authorization: `Bearer ${token}` } };
  };
}

/** `{"token", "expires_at"}` as OAuth has it. */
function inOAuthWords({ status, body }: { status: number; body: string }): { status: number; body: string } {
  const { token, ...answer } = parseObject(body) ?? {};
  return { status, body: JSON.stringify({ ...answer, access_token: token ?? "" }) };
}

const askGitHub: AskGitHub = async (url, headers) => {
  const response = await fetch(url, { headers, redirect: "error", signal: AbortSignal.timeout(timeoutMs) });
  return { status: response.status, body: (await response.text()).slice(0, maxAnswerLength) };
};
