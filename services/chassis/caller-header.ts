/** Who is behind an admin RPC, as the edge authenticated it. It travels in request headers, under the mesh token. */
export interface AdminCaller {
  readonly kind: "master" | "virtual";
  /** SHA-256 of the caller's key, hex. */
  readonly keyId: string;
}

const kindHeader = "x-sluice-caller-kind";
const keyHeader = "x-sluice-caller-key";

export function callerHeaders(caller: AdminCaller): Record<string, string> {
  return { [kindHeader]: caller.kind, [keyHeader]: caller.keyId };
}

/** Reads the caller of an admin RPC. Undefined means an internal client without a user, which may do nothing on behalf. */
export function readCaller(headers: Headers): AdminCaller | undefined {
  const kind = headers.get(kindHeader);
  const keyId = headers.get(keyHeader) ?? "";
  return kind === "master" || kind === "virtual" ? { kind, keyId } : undefined;
}
