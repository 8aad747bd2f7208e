import type { FakeUpstream, RecordedRequest, ScriptedAnswer } from "#chassis/testing/fake-upstream.ts";
import { onePoint } from "../../services/provider-adapter/testing/conformance-cases.ts";
import { parseObject } from "../../services/provider-adapter/translate/json-reading.ts";
import type { CompareCase } from "./cases.ts";
import type { Deployment } from "./deployments.ts";

const json = { "content-type": "application/json" };

/** What every failing provider says. */
export const failureMessage = "the provider's own words";

export function scriptCase(upstream: FakeUpstream, deployment: Deployment, own: CompareCase): void {
  upstream.answer((request) => auxiliary(request) ?? answerOf(deployment, own, request));
}

/** Whether a request is one for the model. */
export function isCall(request: RecordedRequest): boolean {
  return auxiliary(request) === undefined;
}

/** Tokens and pictures. */
function auxiliary({ url, method }: RecordedRequest): ScriptedAnswer | undefined {
  if (url.endsWith("/token")) {
    return {
      headers: json,
      body: JSON.stringify({ access_token: "ya29.compare", expires_in: 3600, token_type: "Bearer" }),
    };
  }
  if (url.endsWith("/picture.png")) {
    return { headers: { "content-type": "image/png" }, body: Buffer.from(onePoint, "base64") };
  }
  // LiteLLM asks Ollama what a model can do.
  if (url.endsWith("/api/show")) return { headers: json, body: '{"capabilities":["completion","tools","thinking"]}' };
  return method === "GET" ? { headers: json, body: "{}" } : undefined;
}

function answerOf({ wire, model }: Deployment, own: CompareCase, request: RecordedRequest): ScriptedAnswer {
  if (own.status !== undefined) {
    return {
      status: own.status,
      headers: { ...json, "retry-after": "2" },
      body: JSON.stringify(wire.failure(own.status, failureMessage)),
    };
  }
  if (!asksForStream(request)) return { headers: json, body: JSON.stringify(wire.whole(own.said, model)) };
  const events = own.failsInStream
    ? [...wire.stream(own.said, "no finish", model), wire.failedEvent(failureMessage)]
    : wire.stream(own.said, "complete", model);
  return { headers: { "content-type": wire.streamType }, body: Buffer.concat(events), chunking: { bytes: 200 } };
}

function asksForStream({ url, body }: RecordedRequest): boolean {
  return /:stream|-stream$/i.test(url) || parseObject(body.toString())?.stream === true;
}
