import assert from "node:assert/strict";
import { after, test } from "node:test";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { send } from "./testing/raw-http.ts";
import { startTestEdge } from "./testing/scripted-mesh.ts";

const now = Date.UTC(2026, 0, 31, 12);
const asked: { query: string; loginState: string; address: string }[] = [];
const edge = await startTestEdge({
  now: () => now,
  config: { trustForwardedFor: true },
  login: {
    beginLogin: ({ returnPath }) => ({
      authorizationUrl: "https://provider.example/auth?a=b",
      loginState: `sealed${returnPath.replaceAll("/", "-")}`,
      secure: true,
    }),
    completeLogin({ query, loginState, address }) {
      asked.push({ query, loginState, address });
      if (query === "no") throw gatewayError(Reason.KEY_INVALID, "refused", { param: "login" });
      return { sessionToken: "token", expiresAt: timestampFromMs(now + 60_000), returnPath: "/ui", secure: true };
    },
  },
});
after(() => edge.stop());

test("over HTTPS cookies are for HTTPS and for this host alone", async () => {
  const begun = await send(`${edge.url}/sso/login?return_to=/ui`);
  assert.deepEqual([begun.status, begun.headers.location], [303, "https://provider.example/auth?a=b"]);
  const attributes = "HttpOnly; SameSite=Lax; Secure";
  assert.deepEqual(begun.headers["set-cookie"], [`__Host-sluice_login=sealed-ui; Path=/; Max-Age=600; ${attributes}`]);
  assert.equal(begun.headers["referrer-policy"], "no-referrer");
  const cookie = "a=b; __Host-sluice_login=sealed; sluice_login=of-a-neighbour";
  const headers = { cookie, "x-forwarded-for": "192.0.2.7, 10.0.0.1" };
  const ended = await send(`${edge.url}/sso/callback?code=c&state=s`, { headers });
  assert.deepEqual(asked.at(-1), { query: "code=c&state=s", loginState: "sealed", address: "192.0.2.7" });
  assert.deepEqual([ended.status, ended.headers.location], [303, "/ui"]);
  assert.deepEqual(ended.headers["set-cookie"], [
    `__Host-sluice_session=token; Path=/; Max-Age=60; ${attributes}`,
    "sluice_login=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
    `__Host-sluice_login=; Path=/; Max-Age=0; ${attributes}`,
  ]);
});

test("a refused login ends the browser's try, and gives it no session", async () => {
  const refused = await send(`${edge.url}/sso/callback?no`);
  assert.equal(refused.status, 401);
  const cookies = refused.headers["set-cookie"] ?? [];
  assert.ok(cookies.length === 2 && cookies.every((cookie) => cookie.includes("sluice_login=;")), cookies.join("\n"));
});

test("a cookie that is too long, empty or of another name is none", async () => {
  for (const cookie of [`sluice_login=${"x".repeat(8_001)}`, "sluice_login=", "my_sluice_login=a", "sluice_login"]) {
    await send(`${edge.url}/sso/callback?a`, { headers: { cookie } });
    assert.equal(asked.at(-1)?.loginState, "", cookie);
  }
});
