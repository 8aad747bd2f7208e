import { BlockList, isIP } from "node:net";
import { ConfigurationError, type Environment, text } from "./environment.ts";
import type { HttpProxy, ProxyFor } from "./http1/http-proxy.ts";
import { type Origin, readOrigin } from "./http1/open-socket.ts";
import { Secret } from "./secret.ts";

/** The proxies that requests leave through. */
export interface OutboundProxies {
  readonly proxyFor: ProxyFor;
  /**
   * The same for `http.setGlobalProxyFromEnv` of Node.js, which knows subdomains by a leading dot alone, and addresses one by
   * one.
   */
  readonly forNode: { readonly HTTP_PROXY?: string; readonly HTTPS_PROXY?: string; readonly NO_PROXY: string };
}

const loopback = ["localhost", "127.0.0.1", "127.0.0.0/8", "[::1]"];

/**
 * Reads HTTPS_PROXY and HTTP_PROXY, ALL_PROXY for the one that is not set, and NO_PROXY, as curl and Python do: small letters
 * before capitals; NO_PROXY is `*`, or names that stand for their subdomains too, IP addresses and networks, each with or
 * without a port, separated by commas or spaces. Loopback is never behind a proxy. Undefined where there is none.
 */
export function readOutboundProxies(env: Environment): OutboundProxies | undefined {
  const secure = readProxy(env, "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY");
  const plain = readProxy(env, "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY");
  if (secure === undefined && plain === undefined) return undefined;
  const entries = [...loopback, ...(text(env, "no_proxy", "NO_PROXY") ?? "").toLowerCase().split(/[\s,]+/)].filter(
    Boolean,
  );
  const direct = entries.map(directOrigins);
  return {
    proxyFor(origin) {
      if (direct.some((matches) => matches(origin))) return undefined;
      return origin.isSecure ? secure?.proxy : plain?.proxy;
    },
    forNode: {
      ...(plain && { HTTP_PROXY: plain.url.reveal() }),
      ...(secure && { HTTPS_PROXY: secure.url.reveal() }),
      NO_PROXY: entries.flatMap((entry) => [entry, `.${entry.replace(/^\*?\./, "")}`]).join(","),
    },
  };
}

function readProxy(env: Environment, ...names: readonly string[]): { proxy: HttpProxy; url: Secret } | undefined {
  const name = names.find((candidate) => text(env, candidate) !== undefined);
  const value = name === undefined ? undefined : text(env, name);
  if (value === undefined) return undefined;
  try {
    const url = new URL(value.includes("://") ? value : `http://${value}`);
    const origin = readOrigin(`${url.protocol}//${url.host}`);
    const user = [url.username, url.password].map(decodeURIComponent).join(":");
    const authorization = `Basic ${Buffer.from(user).toString("base64")}`;
    const proxy = { origin, authorization: user === ":" ? undefined : new Secret(authorization) };
    return { proxy, url: new Secret(url.href) };
  } catch {
    throw new ConfigurationError(
      `${name} must be http://host:port or https://host:port, with user:password@ if need be`,
    );
  }
}

/** What an entry of NO_PROXY stands for. */
function directOrigins(entry: string): (origin: Origin) => boolean {
  if (entry === "*") return () => true;
  const [, host = entry, port] = /^(\[.*\]|[^:]*)(?::(\d+))?$/.exec(entry) ?? [];
  const isHost = hosts(host.replace(/^\[(.*)\]$/, "$1"));
  return (origin) => (port === undefined || origin.port === Number(port)) && isHost(origin.host.toLowerCase());
}

function hosts(entry: string): (host: string) => boolean {
  const [address = "", bits] = entry.split("/");
  if (isIP(address) === 0) {
    const name = entry.replace(/^\*?\./, "");
    return (host) => host === name || host.endsWith(`.${name}`);
  }
  const network = new BlockList();
  try {
    if (bits === undefined) network.addAddress(address, familyOf(address));
    else network.addSubnet(address, Number(bits), familyOf(address));
  } catch {
    throw new ConfigurationError(`NO_PROXY holds ${entry}, which is no network`);
  }
  return (host) => isIP(host) !== 0 && network.check(host, familyOf(host));
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIP(address) === 6 ? "ipv6" : "ipv4";
}
