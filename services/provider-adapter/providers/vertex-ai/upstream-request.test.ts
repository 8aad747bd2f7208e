import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findGatewayError, findUpstreamError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import type { ProviderCall } from "../../provider.ts";
import { providerCall } from "../../translate/testing/provider-call.ts";
import { upstreamRequest } from "./upstream-request.ts";

const serviceAccount = JSON.stringify({ type: "service_account", project_id: "own" });

function request(credential: string, changes: Partial<ProviderCall> = {}) {
  const secret = credential === "" ? undefined : new Secret(credential);
  return upstreamRequest(
    providerCall({}, { model: "gemini-2.5-pro", credential: secret, ...changes }),
    "generateContent",
    {},
  );
}

test("the address of a project and a location", () => {
  const path = (location: string) =>
    `/v1beta1/projects/p/locations/${location}/publishers/google/models/gemini-2.5-pro:generateContent`;
  const cases: readonly [string | undefined, string, string][] = [
    [undefined, "us-central1-aiplatform.googleapis.com", "us-central1"],
    ["europe-west4", "europe-west4-aiplatform.googleapis.com", "europe-west4"],
    ["global", "aiplatform.googleapis.com", "global"],
    ["eu", "aiplatform.eu.rep.googleapis.com", "eu"],
  ];
  for (const [location, host, expected] of cases) {
    const settings = { vertex_project: "p", ...(location === undefined ? {} : { vertex_location: location }) };
    strictEqual(request("token", { settings }).url, `https://${host}${path(expected)}`);
  }
  const own = "http://h/v1/projects/q/locations/l";
  strictEqual(request("token", { baseUrl: own }).url, `${own}/publishers/google/models/gemini-2.5-pro:generateContent`);
  const settings = { vertex_project: "p" };
  strictEqual(request("token", { baseUrl: "http://h", settings }).url, `http://h${path("us-central1")}`);
});

test("a tuned model is an endpoint", () => {
  const { url } = request("token", { model: "4965075652664360960", settings: { vertex_project: "p" } });
  strictEqual(
    url,
    "https://us-central1-aiplatform.googleapis.com/v1beta1/projects/p/locations/us-central1/endpoints/4965075652664360960:generateContent",
  );
});

test("credentials", () => {
  const settings = { vertex_project: "p" };
  strictEqual(request("ya29.x", { settings }).headers.authorization, "Bearer ya29.x");
  const key = request("AIzaX", {});
  strictEqual(key.headers["x-goog-api-key"], "AIzaX");
  strictEqual(new URL(key.url).pathname, "/v1beta1/publishers/google/models/gemini-2.5-pro:generateContent");
  const joined = JSON.stringify({ vertex_credentials: serviceAccount });
  for (const credential of [serviceAccount, joined]) {
    const { url, headers } = request(credential);
    deepStrictEqual([url.includes("/projects/own/"), headers.authorization], [true, undefined]);
  }
  const both = JSON.stringify({ api_key: "ya29.y", vertex_credentials: serviceAccount });
  strictEqual(request(both, { settings }).headers.authorization, "Bearer ya29.y");
});

test("what is missing is named", () => {
  const errorOf = (run: () => unknown): ConnectError | undefined => {
    try {
      run();
    } catch (error) {
      return error instanceof ConnectError ? error : undefined;
    }
    return undefined;
  };
  const badKey = errorOf(() => request("a\u00e9", { settings: { vertex_project: "p" } }));
  strictEqual(badKey && findUpstreamError(badKey)?.httpStatus, 401);
  strictEqual(errorOf(() => request("token"))?.message.includes("VERTEXAI_PROJECT"), true);
  const badLocation = errorOf(() => request("t", { settings: { vertex_project: "p", vertex_location: "x.evil/" } }));
  strictEqual(badLocation && findGatewayError(badLocation)?.param, "model");
});
