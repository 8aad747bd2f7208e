import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { readOrigin } from "./http1/open-socket.ts";
import { readOutboundProxies } from "./outbound-proxies.ts";

const via = (env: Record<string, string>, url: string) =>
  readOutboundProxies(env)?.proxyFor(readOrigin(url))?.origin.authority;

test("each scheme has its proxy, small letters come first, and ALL_PROXY stands in", () => {
  const both = { HTTPS_PROXY: "http://s.test:1", HTTP_PROXY: "http://p.test:2", ALL_PROXY: "socks5://x.test:3" };
  assert.equal(via(both, "https://a.test"), "s.test:1");
  assert.equal(via(both, "http://a.test"), "p.test:2");
  assert.equal(via({ ...both, https_proxy: "http://small.test:1" }, "https://a.test"), "small.test:1");
  assert.equal(via({ ...both, https_proxy: "" }, "https://a.test"), "s.test:1");
  assert.equal(via({ HTTPS_PROXY: "http://s.test:1" }, "http://a.test"), undefined);
  assert.equal(via({ all_proxy: "http://x.test:3" }, "http://a.test"), "x.test:3");
  assert.equal(via({ HTTPS_PROXY: "s.test:1" }, "https://a.test"), "s.test:1");
  assert.equal(readOutboundProxies({ NO_PROXY: "*", HTTPS_PROXY: "" }), undefined);
});

test("what NO_PROXY names is reached without one", () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["a.test", "https://a.test", true],
    ["a.test", "https://A.TEST:8443", true],
    ["a.test", "https://b.a.test", true],
    ["a.test", "https://ba.test", false],
    [".a.test", "https://b.a.test", true],
    ["*.a.test", "https://b.a.test", true],
    ["a.test:8443", "https://a.test:8443", true],
    ["a.test:8443", "https://a.test", false],
    ["x.test, a.test y.test", "https://a.test", true],
    ["*", "https://a.test", true],
    ["10.0.0.0/8", "https://10.1.2.3", true],
    ["10.0.0.0/8", "https://11.1.2.3", false],
    ["10.0.0.0/8", "https://10.1.2.3.test", false],
    ["10.1.2.3", "https://10.1.2.3", true],
    ["fd00::/8", "https://[fd00::1]", true],
    ["fd00::1", "https://[fd00::1]:8443", true],
    ["[fd00::1]:8443", "https://[fd00::1]:8443", true],
    ["[fd00::1]:8443", "https://[fd00::1]", false],
    ["", "https://localhost:1", true],
    ["", "https://a.localhost", true],
    ["", "http://127.8.8.8", true],
    ["", "http://[::1]:11434", true],
    ["", "https://a.test", false],
  ];
  for (const [list, url, direct] of cases) {
    const env = { ALL_PROXY: "http://p.test:1", NO_PROXY: list };
    assert.equal(via(env, url), direct ? undefined : "p.test:1", `${list} ${url}`);
  }
});

test("who we are to the proxy is told to it, and to nobody else", () => {
  const env = { HTTPS_PROXY: "http://us%40er:p%3Aw@p.test:1", NO_PROXY: "a.test" };
  const proxies = readOutboundProxies(env);
  const proxy = proxies?.proxyFor(readOrigin("https://b.test"));
  assert.equal(proxy?.authorization?.reveal(), `Basic ${Buffer.from("us@er:p:w").toString("base64")}`);
  assert.doesNotMatch(inspect(proxy, { depth: null }), /p:w|p%3Aw|Basic/);
  assert.equal(proxies?.forNode.HTTPS_PROXY, "http://us%40er:p%3Aw@p.test:1/");
  assert.match(proxies?.forNode.NO_PROXY ?? "", /(?:^|,)a\.test,\.a\.test(?:,|$)/);
});

test("what is no proxy, or no network, stops the start without a secret in what is said", () => {
  for (const value of ["socks5://user:secret@p.test:1", "http://", "http://user:secret%@p.test", "ftp://p.test"]) {
    assert.throws(
      () => readOutboundProxies({ HTTPS_PROXY: value }),
      (error: Error) => /^HTTPS_PROXY must be /.test(error.message) && !error.message.includes("secret"),
      value,
    );
  }
  const env = { HTTPS_PROXY: "http://p.test", NO_PROXY: "10.0.0.0/99" };
  assert.throws(() => readOutboundProxies(env), /^ConfigurationError: NO_PROXY holds 10\.0\.0\.0\/99/);
});
