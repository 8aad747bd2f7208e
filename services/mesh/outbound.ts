import { setGlobalProxyFromEnv } from "node:http";
import type { Environment } from "#chassis/environment.ts";
import { readOutboundProxies } from "#chassis/outbound-proxies.ts";
import { readAuthorities, trustAuthorities, verifiesCertificates } from "#chassis/tls/public-trust.ts";

/**
 * Sets what holds for every request of this process that leaves the mesh, by whatever library: the proxies it goes through
 * and the authorities it trusts. Calls to providers have a client of their own, which reads the same variables. Returns what
 * the operator should know, one sentence each.
 */
export function prepareOutbound(env: Environment): readonly string[] {
  trustAuthorities(readAuthorities(env));
  const proxies = readOutboundProxies(env);
  if (proxies !== undefined) setGlobalProxyFromEnv(proxies.forNode);
  return verifiesCertificates(env) ? [] : ["SSL_VERIFY is false: who stands in between can read and change calls"];
}
