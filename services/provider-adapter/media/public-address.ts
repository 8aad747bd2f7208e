import { lookup as resolve } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";

/**
 * Not on the public internet, by IANA's registry of special-purpose addresses
 * (https://www.iana.org/assignments/iana-ipv4-special-registry), and 168.63.129.16, where Azure answers its own machines.
 * The metadata services of the clouds are among the link-local, private and shared ones.
 */
const specialV4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["168.63.129.16", 32],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
];

/** Of the global unicast addresses, those that lead elsewhere: Teredo, documentation, 6to4. */
const specialV6: readonly (readonly [string, number])[] = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
];

const refused = new BlockList();
for (const [network, prefix] of specialV4) refused.addSubnet(network, prefix, "ipv4");
for (const [network, prefix] of specialV6) refused.addSubnet(network, prefix, "ipv6");
const globalV6 = new BlockList();
globalV6.addSubnet("2000::", 3, "ipv6");

/** Whether an IP address is one on the public internet. Whatever is not known to be is not. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !refused.check(address, "ipv4");
    case 6:
      return globalV6.check(address, "ipv6") && !refused.check(address, "ipv6");
    default:
      return false;
  }
}

/** A host leads, or one of its addresses does, where a request must not go. */
export class ForbiddenHost extends Error {
  override readonly name = "ForbiddenHost";
}

/**
 * Resolves host names for a connection, which is made to one of the addresses that were looked at: a name that resolves
 * differently a moment later changes nothing. Fails with `ForbiddenHost` where one of the addresses is not allowed.
 */
export function checkedLookup(isAllowed: (address: string) => boolean): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      const [first] = addresses ?? [];
      if (error !== null || first === undefined) return callback(error ?? new ForbiddenHost(), "");
      if (!addresses.every(({ address }) => isAllowed(address))) return callback(new ForbiddenHost(), "");
      return options.all === true ? callback(null, addresses) : callback(null, first.address, first.family);
    });
  };
}
