import assert from "node:assert/strict";
import { test } from "node:test";
import { type AnswerHead, HeadReader } from "./answer-head.ts";
import { AnswerParser } from "./answer-parser.ts";
import { HttpError } from "./http-error.ts";

const maxHeadBytes = 512;

interface Read {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
  /** Whether the next answer may follow, and what stood behind this one. */
  readonly staysOpen: boolean;
  readonly rest: string;
}

/** Reads one answer that comes in pieces of these bytes, as a connection would. */
function read(pieces: readonly Buffer[], method = "POST"): Read {
  const parser = new AnswerParser(new HeadReader(), maxHeadBytes);
  // One buffer for all, as a connection has: what is handed out must not lie in it.
  const buffer = Buffer.alloc(4096);
  const heads: AnswerHead[] = [];
  const body: Buffer[] = [];
  let rest = "";
  parser.begin(method, {
    head: (head) => heads.push(head),
    data: (piece) => {
      assert.ok(piece.length > 0);
      body.push(piece);
    },
  });
  for (const piece of pieces) {
    piece.copy(buffer);
    const taken = parser.take(buffer, piece.length);
    rest += piece.subarray(taken).toString("latin1");
    buffer.fill("?");
  }
  if (!parser.isDone && !parser.finish()) throw new HttpError("HTTP_CUT", "the end is missing");
  const [head] = heads;
  assert.ok(head !== undefined && heads.length === 1);
  const { status, headers } = head;
  return {
    status,
    headers: { ...headers },
    body: Buffer.concat(body).toString("latin1"),
    staysOpen: parser.staysOpen,
    rest,
  };
}

/** Whole, cut in two at every place, and byte by byte. */
function cuts(text: string): Buffer[][] {
  const bytes = Buffer.from(text, "latin1");
  const inTwo = Array.from({ length: bytes.length - 1 }, (_, at) => [
    bytes.subarray(0, at + 1),
    bytes.subarray(at + 1),
  ]);
  const single = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
  return [[bytes], ...inTwo, single];
}

const ok = "HTTP/1.1 200 OK\r\n";
const chunked = `${ok}Transfer-Encoding: chunked\r\n\r\n`;
type Expected = Partial<Read>;
const answers: readonly (readonly [name: string, text: string, expected: Expected, method?: string])[] = [
  ["a length", `${ok}Content-Length: 5\r\n\r\nhello`, { status: 200, body: "hello", staysOpen: true }],
  ["no reason", "HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nhi", { body: "hi", staysOpen: true }],
  ["a reason of any bytes", "HTTP/1.1 404 N\xe4 \t~\r\ncontent-length: 0\r\n\r\n", { status: 404, body: "" }],
  ["lengths that agree", `${ok}content-length: 2\r\nContent-Length: 2\r\n\r\nhi`, { body: "hi", staysOpen: true }],
  ["what comes behind", `${ok}content-length: 2\r\n\r\nhiHTTP/1.1 200`, { body: "hi", rest: "HTTP/1.1 200" }],
  ["until it closes", `${ok}\r\nall of it\r\n`, { body: "all of it\r\n", staysOpen: false, headers: {} }],
  ["nothing until it closes", `${ok}\r\n`, { body: "", staysOpen: false }],
  ["no body by its status", `HTTP/1.1 204 No\r\ncontent-length: 7\r\n\r\n`, { status: 204, body: "", staysOpen: true }],
  ["not modified", `HTTP/1.1 304 No\r\ntransfer-encoding: chunked\r\n\r\n`, { body: "", staysOpen: true }],
  ["no body by its method", `${ok}content-length: 7\r\n\r\n`, { body: "", staysOpen: true }, "HEAD"],
  ["to be closed", `${ok}Connection: x, Close\r\ncontent-length: 2\r\n\r\nhi`, { body: "hi", staysOpen: false }],
  ["HTTP/1.0", "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi", { body: "hi", staysOpen: false }],
  [
    "HTTP/1.0, kept",
    "HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 2\r\n\r\nhi",
    { body: "hi", staysOpen: true },
  ],
  [
    "what is no answer yet",
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n${ok}content-length: 2\r\n\r\nhi`,
    { status: 200, body: "hi", headers: { "content-length": "2" }, staysOpen: true },
  ],
  [
    "fields",
    `${ok}X-A:  b c\t \r\nx-a:d\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nEmpty:\r\n__proto__: p\r\nconstructor: q\r\ncontent-length: 0\r\n\r\n`,
    {
      headers: Object.defineProperty(
        {
          "x-a": "b c, d",
          "set-cookie": "a=1, b=2",
          empty: "",
          constructor: "q",
          "content-length": "0",
        },
        "__proto__",
        { value: "p", enumerable: true, configurable: true, writable: true },
      ) as Record<string, string>,
    },
  ],
  [
    "chunks",
    `${chunked}5\r\nhello\r\n00a\r\n, world \r\n\r\n0\r\n\r\n`,
    { body: "hello, world \r\n", staysOpen: true },
  ],
  ["chunks of nothing", `${chunked}0\r\n\r\nmore`, { body: "", rest: "more" }],
  [
    "chunks with more",
    `${chunked}2;a=b;c="d"\r\nhi\r\n0;e\r\nx-trailer: 1\r\ny: 2\r\n\r\n`,
    { body: "hi", headers: { "transfer-encoding": "chunked" } },
  ],
  [
    "chunks and a length",
    `${ok}content-length: 99\r\nTRANSFER-ENCODING: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n`,
    { body: "x", staysOpen: false },
  ],
  [
    "chunks in HTTP/1.0",
    `HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n`,
    { body: "x", staysOpen: false },
  ],
];

for (const [name, text, expected, method] of answers) {
  test(`an answer, cut anywhere: ${name}`, () => {
    for (const pieces of cuts(text)) {
      const found = read(pieces, method);
      for (const key of Object.keys(expected) as (keyof Read)[]) assert.deepEqual(found[key], expected[key], key);
      if (expected.rest === undefined) assert.equal(found.rest, "");
    }
  });
}

const refusals: readonly (readonly [name: string, text: string])[] = [
  ["another protocol", "HTTP/2 200 OK\r\n\r\n"],
  ["another version", "HTTP/1.2 200 OK\r\n\r\n"],
  ["no protocol", "220 mail.test ESMTP\r\n\r\n"],
  ["no status", "HTTP/1.1 OK\r\n\r\n"],
  ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"],
  ["a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"],
  ["a status below all others", "HTTP/1.1 099 No\r\n\r\n"],
  ["space before the version", " HTTP/1.1 200 OK\r\n\r\n"],
  ["another protocol from here on", "HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n"],
  ["a line feed alone", "HTTP/1.1 200 OK\nx: y\r\n\r\n"],
  ["lines that end in line feeds", "HTTP/1.1 200 OK\ncontent-length: 5\n\nhello"],
  ["a line feed in a value", `${ok}x: y\nz: 1\r\n\r\n`],
  ["a carriage return in a value", `${ok}x: y\rz: 1\r\n\r\n`],
  ["NUL in a value", `${ok}x: y\0\r\n\r\n`],
  ["another control character in a value", `${ok}x: y\x01\r\n\r\n`],
  ["DEL in a value", `${ok}x: y\x7f\r\n\r\n`],
  ["a line that goes on", `${ok}x: y\r\n z\r\n\r\n`],
  ["a line that goes on with a colon", `${ok}x: y\r\n\tz: 1\r\n\r\n`],
  ["a line without a colon", `${ok}x\r\ny: z\r\n\r\n`],
  ["no name", `${ok}: x\r\n\r\n`],
  ["space before the colon", `${ok}content-length : 5\r\n\r\nhello`],
  ["a name that is none", `${ok}x(y): z\r\n\r\n`],
  ["lengths that differ", `${ok}content-length: 5\r\ncontent-length: 6\r\n\r\nhello`],
  ["lengths that differ in one line", `${ok}content-length: 5, 6\r\n\r\nhello`],
  ["a length below nothing", `${ok}content-length: -1\r\n\r\n`],
  ["a length with a sign", `${ok}content-length: +5\r\n\r\nhello`],
  ["a length that is none", `${ok}content-length: 0x5\r\n\r\nhello`],
  ["an empty length", `${ok}content-length:\r\n\r\nhello`],
  ["a length beyond counting", `${ok}content-length: 9007199254740993\r\n\r\nhello`],
  ["a coding that is not known", `${ok}transfer-encoding: gzip, chunked\r\n\r\n`],
  ["chunks twice", `${ok}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n`],
  ["chunks that are not last", `${ok}transfer-encoding: chunked, identity\r\n\r\n`],
  ["no size", `${chunked}\r\nx\r\n`],
  ["a size with a sign", `${chunked}+1\r\nx\r\n`],
  ["a size with a prefix", `${chunked}0x1\r\nx\r\n`],
  ["space before a size", `${chunked} 1\r\nx\r\n`],
  ["space behind a size", `${chunked}1 \r\nx\r\n`],
  ["a size beyond counting", `${chunked}fffffffffffffffff\r\nx`],
  ["a size that ends in a line feed", `${chunked}1\nx\r\n`],
  ["a carriage return and no line feed", `${chunked}1\rx\r\n`],
  ["a chunk that is longer", `${chunked}1\r\nxy\r\n`],
  ["a chunk that ends in a line feed", `${chunked}1\r\nx\n0\r\n\r\n`],
  ["a line feed in an extension", `${chunked}1;a\nx\r\n`],
  ["NUL in an extension", `${chunked}1;\0\r\nx\r\n`],
  ["a line feed in a trailer", `${chunked}0\r\nx: y\n\r\n`],
  ["a trailer that ends in a line feed", `${chunked}0\r\n\n`],
  ["a carriage return at the end", `${chunked}0\r\n\rx`],
];

for (const [name, text] of refusals) {
  test(`refused, cut anywhere: ${name}`, () => {
    for (const pieces of cuts(text)) assert.throws(() => read(pieces), { name: "HttpError", code: "HTTP_MALFORMED" });
  });
}

test("what ends early is no answer, wherever it ends", () => {
  const complete = [
    `${ok}x: y\r\ncontent-length: 5\r\n\r\nhello`,
    `${chunked}5\r\nhello\r\n0\r\nx: y\r\n\r\n`,
    `HTTP/1.1 100 Continue\r\n\r\n${ok}content-length: 1\r\n\r\nx`,
  ];
  for (const text of complete) {
    for (let end = 1; end < text.length; end += 1) {
      for (const pieces of [
        [Buffer.from(text.slice(0, end))],
        Array.from(text.slice(0, end), (one) => Buffer.from(one)),
      ]) {
        assert.throws(() => read(pieces), { code: "HTTP_CUT" }, text.slice(0, end));
      }
    }
  }
});

test("a head has a limit, however it comes, and what is no answer counts", () => {
  const fits = `${ok}x: ${"y".repeat(maxHeadBytes - ok.length - 7)}\r\n\r\n`;
  assert.equal(fits.length, maxHeadBytes);
  for (const pieces of cuts(`${fits}body`)) assert.equal(read(pieces).body, "body");
  const tooLarge = [
    `${ok}x: ${"y".repeat(maxHeadBytes)}\r\n\r\n`,
    `${ok}x: ${"y".repeat(maxHeadBytes)}`,
    "HTTP/1.1 100 Continue\r\n\r\n".repeat(30),
  ];
  for (const text of tooLarge) {
    for (const pieces of cuts(text)) assert.throws(() => read(pieces), { code: "HTTP_MALFORMED" });
  }
});

test("extensions and trailers have a limit", () => {
  const long = "e".repeat(20_000);
  for (const text of [
    `1;${long}\r\nx\r\n0\r\n\r\n`,
    `0\r\nx: ${long}\r\n\r\n`,
    `0\r\n${"x: y\r\n".repeat(5000)}\r\n`,
  ]) {
    const pieces = [chunked, ...(text.match(/[\s\S]{1,4000}/g) ?? [])].map((piece) => Buffer.from(piece));
    assert.throws(() => read(pieces), { code: "HTTP_MALFORMED" });
  }
  // Those of one chunk do not count for the next.
  const many = [chunked, ...Array.from({ length: 10 }, () => `1;${"e".repeat(3000)}\r\nx\r\n`), "0\r\n\r\n"];
  assert.equal(read(many.map((piece) => Buffer.from(piece))).body, "x".repeat(10));
});

test("one answer after the other on one connection", () => {
  const parser = new AnswerParser(new HeadReader(), maxHeadBytes);
  for (const [body, text] of [
    ["a", `${chunked}1\r\na\r\n0\r\n\r\n`],
    ["", `${ok}content-length: 0\r\n\r\n`],
    ["bc", `${ok}content-length: 2\r\n\r\nbc`],
  ] as const) {
    let found = "";
    parser.begin("POST", { head: () => undefined, data: (piece) => (found += piece.toString()) });
    assert.equal(parser.take(Buffer.from(text), text.length), text.length);
    assert.deepEqual([found, parser.isDone, parser.staysOpen], [body, true, true]);
    parser.forget();
  }
});

test("names are remembered within a bound", () => {
  const heads = new HeadReader();
  for (let count = 0; count < 3000; count += 1) {
    const { headers } = heads.read(`${ok}X-${count}: 1\r\nX-Same: 2\r\n`);
    assert.deepEqual(Object.entries(headers), [
      [`x-${count}`, "1"],
      ["x-same", "2"],
    ]);
  }
});

test("for how long a server keeps a connection", () => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ["timeout=5, max=100", 5000],
    ["max=100, Timeout = 20", 20_000],
    ["max=100", undefined],
    ["nothing", undefined],
  ];
  for (const [hint, expected] of cases) {
    const parser = new AnswerParser(new HeadReader(), maxHeadBytes);
    parser.begin("GET", { head: () => undefined, data: () => undefined });
    const text = Buffer.from(`${ok}keep-alive: ${hint}\r\ncontent-length: 0\r\n\r\n`);
    parser.take(text, text.length);
    assert.equal(parser.keepAliveMs, expected, hint);
  }
});
