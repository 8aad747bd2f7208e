import assert from "node:assert/strict";
import { test } from "node:test";
import { composeDatabaseUrl } from "./database-address.ts";

const parts = { DATABASE_HOST: "db.test", DATABASE_NAME: "litellm", DATABASE_USERNAME: "me" };

test("the parts of an address make one, whatever characters they hold", () => {
  assert.equal(composeDatabaseUrl(parts), "postgresql://me@db.test/litellm");
  const odd = { ...parts, DATABASE_USERNAME: "m@e", DATABASE_PASSWORD: "p:/?#@%", DATABASE_PORT: "5433" };
  const url = new URL(composeDatabaseUrl(odd) ?? "");
  assert.deepEqual([url.username, url.password].map(decodeURIComponent), ["m@e", "p:/?#@%"]);
  assert.deepEqual([url.hostname, url.port, url.pathname], ["db.test", "5433", "/litellm"]);
  assert.equal(composeDatabaseUrl({ ...parts, DATABASE_HOST: "db.test:5433" }), "postgresql://me@db.test:5433/litellm");
  assert.equal(composeDatabaseUrl({ ...parts, DATABASE_HOST: "fd00::1" }), "postgresql://me@[fd00::1]/litellm");
  const { DATABASE_USERNAME: _, ...other } = parts;
  assert.equal(composeDatabaseUrl({ ...other, DATABASE_USER: "you" }), "postgresql://you@db.test/litellm");
});

test("a part that is missing leaves no address", () => {
  for (const name of Object.keys(parts)) assert.equal(composeDatabaseUrl({ ...parts, [name]: "" }), undefined, name);
});
