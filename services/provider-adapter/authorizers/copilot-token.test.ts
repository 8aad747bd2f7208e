import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { openAiRows } from "#catalog/catalog.ts";
import { findUpstreamError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import { createOpenAiCompatibleProvider } from "../providers/openai-compatible/provider.ts";
import { providerCall } from "../translate/testing/provider-call.ts";
import { createCopilotToken } from "./copilot-token.ts";

const [row] = openAiRows().filter(({ id }) => id === "github_copilot");
const never = new AbortController().signal;

function stage(answer: { status: number; body: string }) {
  const asked: Readonly<Record<string, string>>[] = [];
  const clock = { now: 1_000_000 };
  const authorize = createCopilotToken(
    () => clock.now,
    async (_, headers) => {
      asked.push(headers);
      return answer;
    },
  );
  const headerOf = async (key: string) => {
    if (row === undefined) throw new Error("no row");
    const call = providerCall({ messages: [] }, { model: "gpt-4o", credential: new Secret(key) });
    const provider = createOpenAiCompatibleProvider(row);
    strictEqual(provider.authorizer, "copilot-token");
    return (await authorize(call, provider.begin(call).request, never)).headers.authorization;
  };
  return { asked, clock, headerOf };
}

test("a token of GitHub's is exchanged, and again before its end; another key passes", async () => {
  const { asked, clock, headerOf } = stage({ status: 200, body: '{"token":"tid=1;exp=2","expires_at":2800}' });
  strictEqual(await headerOf("gho_abc"), "Bearer tid=1;exp=2");
  strictEqual(await headerOf("gho_abc"), "Bearer tid=1;exp=2");
  strictEqual(asked.length, 1);
  strictEqual(asked[0]?.authorization, "token gho_abc");
  clock.now = 2_600_000;
  await headerOf("gho_abc");
  strictEqual(asked.length, 2);
  strictEqual(await headerOf("tid=own"), "Bearer tid=own");
  strictEqual(asked.length, 2);
});

test("what goes wrong", async () => {
  const cases = [
    [401, '{"message":"Bad credentials"}', 401],
    [200, "{}", 401],
    [503, "", 503],
  ] as const;
  for (const [status, body, expected] of cases) {
    await rejects(stage({ status, body }).headerOf("ghu_x"), (error: unknown) => {
      deepStrictEqual(error instanceof ConnectError && findUpstreamError(error)?.httpStatus, expected);
      return true;
    });
  }
});
