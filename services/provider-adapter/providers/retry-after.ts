const maxMs = 24 * 60 * 60 * 1000;

/**
 * How long a failed answer asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date, which is read against
 * the answer's own `date`. Undefined where it says nothing usable.
 */
export function retryAfterMsOf(headers: Readonly<Record<string, string>>): number | undefined {
  const ms = Number.parseFloat(headers["retry-after-ms"] ?? "");
  if (ms >= 0) return Math.min(ms, maxMs);
  const text = headers["retry-after"]?.trim() ?? "";
  if (/^\d+(?:\.\d+)?$/.test(text)) return Math.min(Number.parseFloat(text) * 1000, maxMs);
  const wait = Date.parse(text) - Date.parse(headers.date ?? "");
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(wait, 0), maxMs);
}
