import type { Secret } from "../secret.ts";
import { HttpError } from "./http-error.ts";
import type { Origin } from "./open-socket.ts";

/** A proxy that requests leave through. */
export interface HttpProxy {
  readonly origin: Origin;
  /** The `proxy-authorization` header, if it wants one. */
  readonly authorization: Secret | undefined;
}

/** The proxy on the way to an origin; undefined where none is. */
export type ProxyFor = (origin: Origin) => HttpProxy | undefined;

/** What a request to an origin begins with. */
export interface RequestTarget {
  /** The `host` header. */
  readonly authority: string;
  /** What stands before the path: a proxy is told the whole address, RFC 9112, section 3.2.2. */
  readonly prefix: string;
  /** Lines of the head that are for the proxy. */
  readonly lines: string;
}

/** Over TLS nothing is for the proxy to read: requests in a tunnel are as they are without one. */
export function targetOf({ authority, isSecure }: Origin, proxy: HttpProxy | undefined): RequestTarget {
  if (proxy === undefined || isSecure) return { authority, prefix: "", lines: "" };
  return { authority, prefix: `http://${authority}`, lines: authorizationLine(proxy) };
}

/** The line that says who we are to the proxy. */
export function authorizationLine({ authorization }: HttpProxy): string {
  return authorization === undefined ? "" : `proxy-authorization: ${authorization.reveal()}\r\n`;
}

/** What goes wrong on the way to the proxy is no fault of the origin. */
export function proxyError(cause: Error): HttpError {
  return new HttpError("HTTP_PROXY_UNREACHABLE", "the proxy cannot be reached", cause);
}
