import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "#chassis/secret.ts";
import { readDatabaseAddress } from "./address.ts";

const read = (address: string) => readDatabaseAddress(new Secret(address));

test("an address without a mode is the driver's as it is", () => {
  for (const address of [
    "postgres://u:p%40@h:1/a%20b?connection_limit=5",
    "postgresql://u@localhost/a%20b?host=/run/x",
  ]) {
    assert.deepEqual(read(address), { name: "a b", connectionString: address });
  }
});

test("a mode means what it means to PostgreSQL", () => {
  const of = (mode: string) => read(`postgresql://u:p%40@h:1/db?sslmode=${mode}&x=y`).connectionString;
  for (const mode of ["disable", "prefer", "require", "verify-ca", "verify-full"]) {
    assert.equal(of(mode), `postgresql://u:p%40@h:1/db?sslmode=${mode}&x=y&uselibpqcompat=true`);
  }
  assert.equal(of("no-verify"), "postgresql://u:p%40@h:1/db?sslmode=no-verify&x=y");
  assert.equal(of("allow"), "postgresql://u:p%40@h:1/db?sslmode=disable&x=y");
  assert.match(of("require&uselibpqcompat=true"), /^[^?]*\?sslmode=require&uselibpqcompat=true&x=y$/);
});

test("what is no address is refused without its password", () => {
  for (const address of ["mysql://u:secret@h/db", "postgresql://u:secret@h", "postgresql://u:secret@h/", "u:secret"]) {
    assert.throws(() => read(address), /^Error: the database address must have the form postgresql:/);
  }
});
