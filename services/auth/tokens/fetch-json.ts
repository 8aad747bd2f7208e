/** What an address has answered: the status, and the body where that is a JSON object. */
export interface JsonAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>> | undefined;
}

export interface FetchLimits {
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

/**
 * Asks an issuer for JSON. Redirects are not followed: the address is the one that was configured, or that the issuer has
 * named itself.
 *
 * @throws where there is no whole answer within the limits.
 */
export async function fetchJson(
  url: string,
  { timeoutMs, maxBytes }: FetchLimits,
  init: RequestInit = {},
): Promise<JsonAnswer> {
  const signal = AbortSignal.timeout(timeoutMs);
  const response = await fetch(url, { ...init, redirect: "error", signal });
  const text = await readText(response, maxBytes);
  return { status: response.status, body: parseObject(text) };
}

async function readText(response: Response, maxBytes: number): Promise<string> {
  if (response.body === null) return "";
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of response.body) {
    size += piece.length;
    // Leaving the loop cancels the rest.
    if (size > maxBytes) throw new Error(`the answer is larger than ${maxBytes} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

function parseObject(text: string): JsonAnswer["body"] {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value))
      : undefined;
  } catch {
    return undefined;
  }
}
