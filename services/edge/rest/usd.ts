const amount = /^(-?)(\d{1,9})(?:\.(\d{1,9}))?$/;

/**
 * A number of US dollars as JSON has it, in billionths, rounded to them. Undefined where it is no number, has more than
 * nine digits before the point, or is a text finer than a billionth.
 */
export function usdToNano(value: unknown): bigint | undefined {
  const match = typeof value === "number" ? matchNumber(value) : typeof value === "string" ? amount.exec(value) : null;
  if (match === null) return undefined;
  const [, sign, whole = "0", fraction = ""] = match;
  const nano = BigInt(whole) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
  return sign === "-" ? -nano : nano;
}

/** The shortest text of a number is the one that was written; its exact value would differ in the last digits. */
function matchNumber(value: number): RegExpExecArray | null {
  return amount.exec(String(value)) ?? amount.exec(value.toFixed(9));
}

export function nanoToUsd(nano: bigint): number {
  return Number(nano / 1_000_000_000n) + Number(nano % 1_000_000_000n) / 1e9;
}
