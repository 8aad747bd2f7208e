import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import type { UpstreamRequest } from "../provider.ts";
import { providerCall } from "../translate/testing/provider-call.ts";
import { createSapDeployment } from "./sap-deployment.ts";

const open: UpstreamRequest = {
  method: "POST",
  url: "https://api.test/v2/inference/deployments/{deploymentId}/v2/completion",
  headers: { "ai-resource-group": "g" },
  body: Buffer.from("{}"),
  tokenGrant: {
    provider: "sap",
    owner: "SAP",
    url: "https://auth.test/oauth/token",
    form: { grant_type: "client_credentials" },
    basic: new Secret("aWQ6c2VjcmV0"),
  },
};
const call = providerCall({});
const never = new AbortController().signal;

function stage(list: { status: number; body: string }) {
  const asked: [string, Readonly<Record<string, string>>][] = [];
  const clock = { now: 0 };
  const authorize = createSapDeployment(
    () => clock.now,
    async () => ({ status: 200, body: '{"access_token":"t","expires_in":36000}' }),
    async (url, headers) => {
      asked.push([url, headers]);
      return list;
    },
  );
  return { asked, clock, authorize };
}

const running = { status: 200, body: '{"count":1,"resources":[{"id":"d1","status":"RUNNING"}]}' };

test("the deployment is found once an hour, and stands in the address", async () => {
  const { asked, clock, authorize } = stage(running);
  for (const now of [0, 1000, 2_000_000]) {
    clock.now = now;
    const { url, headers } = await authorize(call, open, never);
    strictEqual(url, "https://api.test/v2/inference/deployments/d1/v2/completion");
    strictEqual(headers.authorization, "Bearer t");
  }
  deepStrictEqual(asked, [
    [
      "https://api.test/v2/lm/deployments?scenarioId=orchestration&status=RUNNING",
      { authorization: "Bearer t", "ai-resource-group": "g" },
    ],
  ]);
  clock.now = 3_600_000;
  await authorize(call, open, never);
  strictEqual(asked.length, 2);
});

test("an address that names its deployment needs no look", async () => {
  const { asked, authorize } = stage(running);
  const own = { ...open, url: "https://api.test/v2/inference/deployments/d9/v2/completion" };
  const { url, headers } = await authorize(call, own, never);
  deepStrictEqual([url, headers.authorization, asked.length], [own.url, "Bearer t", 0]);
});

test("no deployment, and a list out of order", async () => {
  const failsWith = (httpStatus: number) => (error: unknown) =>
    error instanceof ConnectError && findUpstreamError(error)?.httpStatus === httpStatus;
  const cases: readonly [{ status: number; body: string }, number][] = [
    [{ status: 200, body: '{"resources":[]}' }, 401],
    [{ status: 200, body: '{"resources":[{"id":"../x"}]}' }, 401],
    [{ status: 403, body: "no" }, 401],
    [{ status: 503, body: "" }, 503],
  ];
  for (const [list, status] of cases) {
    const { authorize } = stage(list);
    await rejects(async () => authorize(call, open, never), failsWith(status));
  }
});
