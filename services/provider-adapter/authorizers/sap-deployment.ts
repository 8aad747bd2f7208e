import { createHash } from "node:crypto";
import type { Authorizer } from "../authorize.ts";
import { objectsOf, parseObject, textOf } from "../translate/json-reading.ts";
import { createOAuthToken } from "./oauth-token.ts";
import { createTokenCache, type Token } from "./token-cache.ts";
import { type AskTokenServer, refusedCredential, tokenFailure } from "./token-server.ts";

const provider = "sap";
const timeoutMs = 15_000;
const maxAnswerLength = 1024 * 1024;
/** Deployments come and go with their owners' releases. */
const keptMs = 60 * 60 * 1000;

/** Stands in an address for the deployment that has to be found. */
export const deploymentPlaceholder = "{deploymentId}";

/** Reads a list of deployments. */
export type AskDeployments = (
  url: string,
  headers: Readonly<Record<string, string>>,
) => Promise<{ status: number; body: string }>;

/**
 * Adds an access token, as `oauth-token` does, and puts the deployment of the orchestration service into the address where
 * that leaves it open, https://help.sap.com/docs/sap-ai-core: the first running one of the resource group, kept for an
 * hour. `now` is the time in milliseconds since 1970.
 */
export function createSapDeployment(
  now: () => number,
  askToken?: AskTokenServer,
  ask: AskDeployments = askDeployments,
): Authorizer {
  const authorize = createOAuthToken(now, askToken);
  const deployments = createTokenCache(now);
  return async (call, request, signal) => {
    const authorized = await authorize(call, request, signal);
    const [root = "", rest] = authorized.url.split(deploymentPlaceholder);
    if (rest === undefined) return authorized;
    const { authorization = "", "ai-resource-group": group = "" } = authorized.headers;
    const url = `${root.replace(/\/inference\/deployments\/$/, "")}/lm/deployments?scenarioId=orchestration&status=RUNNING`;
    const id = createHash("sha256")
      .update(JSON.stringify([url, group]))
      .digest("hex");
    const find = () => findDeployment(() => ask(url, { authorization, "ai-resource-group": group }), group);
    return { ...authorized, url: `${root}${await deployments(id, find, signal)}${rest}` };
  };
}

async function findDeployment(ask: () => ReturnType<AskDeployments>, group: string): Promise<Token> {
  const { status, body } = await ask().catch((cause: unknown) => {
    throw tokenFailure(provider, "SAP's list of deployments cannot be reached", cause);
  });
  if (status >= 500 || status === 429) throw tokenFailure(provider, `SAP's list of deployments answered ${status}`);
  const running = objectsOf(parseObject(body)?.resources).map(({ id }) => textOf(id));
  const found = running.find((id) => /^[\w-]{1,100}$/.test(id));
  if (status === 200 && found !== undefined) return { value: found, lifetimeMs: keptMs };
  throw refusedCredential(
    provider,
    `sap has no running deployment of the orchestration service in the resource group ${group} (status ${status}): set api_base to a deployment's address`,
  );
}

const askDeployments: AskDeployments = async (url, headers) => {
  const response = await fetch(url, { headers, redirect: "error", signal: AbortSignal.timeout(timeoutMs) });
  return { status: response.status, body: (await response.text()).slice(0, maxAnswerLength) };
};
