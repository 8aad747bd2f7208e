import { AddressProblem } from "../upstream.ts";

/** Where a service is called. */
export interface PeerAddress {
  /** As the transport wants it: `http://host:port` or `https://host:port`, with a path where a proxy wants one. */
  readonly url: string;
  readonly secure: boolean;
}

const schemes: Readonly<Record<string, string>> = {
  "grpc:": "http:",
  "http:": "http:",
  "grpcs:": "https:",
  "https:": "https:",
};

/** Reads `grpc://`, `grpcs://`, `http://` and `https://`. Throws an AddressProblem that names none of the address. */
export function readPeerAddress(text: string): PeerAddress {
  const given = /^([a-z]+:)(\/\/.+)$/i.exec(text);
  const scheme = schemes[given?.[1]?.toLowerCase() ?? ""];
  // A scheme that it does not know keeps the parser from reading host and port, so it gets one that it knows.
  const url = scheme === undefined ? null : URL.parse(`${scheme}${given?.[2]}`);
  if (url === null || url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new AddressProblem("api_base must be the service's address: grpc://host:port, or grpcs:// for TLS");
  }
  return { url: `${url.origin}${url.pathname}`.replace(/\/+$/, ""), secure: url.protocol === "https:" };
}
