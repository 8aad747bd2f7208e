import assert from "node:assert/strict";
import { test } from "node:test";
import { HeadWriter, type HttpRequest } from "./request-head.ts";

const request: HttpRequest = { origin: "http://a.test", method: "POST", path: "/x?y=z", headers: {} };
const write = (more: Partial<HttpRequest>, writer = new HeadWriter()) =>
  writer.write({ ...request, ...more }, { authority: "a.test", prefix: "", lines: "" });

test("a head holds what was given, and says how long the body is", () => {
  const headers = { "content-type": "text/plain", "x-any": "\t caf\xe9~" };
  assert.equal(
    write({ headers, body: Buffer.from("hello") }),
    "POST /x?y=z HTTP/1.1\r\nhost: a.test\r\ncontent-type: text/plain\r\nx-any: \t caf\xe9~\r\ncontent-length: 5\r\n\r\n",
  );
  assert.match(write({ body: new Uint8Array() }), /\r\ncontent-length: 0\r\n\r\n$/);
  assert.equal(write({ method: "GET" }), "GET /x?y=z HTTP/1.1\r\nhost: a.test\r\n\r\n");
});

test("the length and the connection are the client's to say, the host is not", () => {
  const headers = { "Content-Length": "99", connection: "close", Host: "b.test" };
  const head = "POST /x?y=z HTTP/1.1\r\nhost: b.test\r\ncontent-length: 1\r\n\r\n";
  const writer = new HeadWriter();
  for (let time = 0; time < 2; time += 1) assert.equal(write({ headers, body: Buffer.from("x") }, writer), head);
});

test("nothing in a request can be read as more than it is", () => {
  const bad: Partial<HttpRequest>[] = [
    ...["a\r\nb: c", "a\nb", "a\rb", "a\0b", "a\u010ab", "a\u{1f600}", "\x7f", "\x0b"].map((value) => ({
      headers: { "x-any": value },
    })),
    ...["", "a b", "a:", "a\r\nb", "é", "(a)"].map((name) => ({ headers: { [name]: "x" } })),
    ...["", "x", "/a b", "/a\r\nb", "/a\nb", "/\u010a", "/\xe9", "http://b.test/"].map((path) => ({ path })),
    ...["", "GET /a HTTP/1.1\r\n", "P OST"].map((method) => ({ method })),
    ...["Transfer-Encoding", "upgrade", "expect", "keep-alive", "trailer"].map((name) => ({
      headers: { [name]: "x" },
    })),
  ];
  for (const more of bad) {
    const writer = new HeadWriter();
    // Also behind what was good under the same name, and the second time.
    write({ headers: { "x-any": "a" } }, writer);
    for (let time = 0; time < 2; time += 1) {
      assert.throws(() => write(more, writer), { code: "HTTP_REQUEST_INVALID" }, JSON.stringify(more));
    }
  }
});

test("a failure tells no value", () => {
  assert.throws(
    () => write({ headers: { authorization: "Bearer secret\n" } }),
    (error: Error) => !error.message.includes("secret"),
  );
});

test("any number of names can be used", () => {
  const writer = new HeadWriter();
  for (let count = 0; count < 3000; count += 1) {
    assert.match(write({ headers: { [`x-${count}`]: "v" } }, writer), new RegExp(`\r\nx-${count}: v\r\n`));
  }
});
