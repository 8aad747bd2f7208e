import assert from "node:assert/strict";
import { test } from "node:test";
import { checkedLookup, ForbiddenHost, isPublicAddress } from "./public-address.ts";

test("only addresses on the public internet are public", () => {
  const outside = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "192.167.1.1", "100.128.0.1", "2606:4700:4700::1111", "2a00::1"];
  for (const address of outside) assert.equal(isPublicAddress(address), true, address);
  const inside = [
    ...["127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1"],
    ...["169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16", "224.0.0.1"],
    ...["255.255.255.255", "198.18.0.1", "203.0.113.9", "240.0.0.1"],
    ...["::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "fe80::1", "fe80::1%eth0", "fc00::1"],
    ...["fd00:ec2::254", "ff02::1", "64:ff9b::7f00:1", "2001:db8::1", "2001::1", "2002:7f00:1::", "3fff::1"],
    ...["", "localhost", "256.1.1.1", "1.2.3"],
  ];
  for (const address of inside) assert.equal(isPublicAddress(address), false, address);
});

test("a name is resolved to what may be connected to, or to nothing", async () => {
  const find = (isAllowed: (address: string) => boolean, all: boolean) =>
    new Promise((resolve, reject) => {
      checkedLookup(isAllowed)("localhost", { all }, (error, address) => (error ? reject(error) : resolve(address)));
    });
  await assert.rejects(find(isPublicAddress, true), (error) => error instanceof ForbiddenHost);
  await assert.rejects(find(isPublicAddress, false), (error) => error instanceof ForbiddenHost);
  assert.match(String(await find(() => true, false)), /^(?:127\.0\.0\.1|::1)$/);
  assert.ok(Array.isArray(await find(() => true, true)));
});
