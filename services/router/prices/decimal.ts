/**
 * Converts a decimal number to an integer, scaled by a power of ten, without passing through binary fractions: 0.000003
 * with a scale of 15 is exactly 3000000000. A number is read by its shortest decimal form, which is what its author wrote.
 * Digits beyond the scale are rounded half up. Undefined where the text is no number or is negative.
 */
export function scaledInteger(value: number | string, scale: number): bigint | undefined {
  const match = /^\+?(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/.exec(String(value).trim());
  if (match === null) return undefined;
  const whole = match[1] ?? "";
  const fraction = match[2] ?? "";
  if (whole + fraction === "") return undefined;
  const digits = BigInt(whole + fraction);
  const shift = scale + Number(match[3] ?? 0) - fraction.length;
  if (shift >= 0) return digits * 10n ** BigInt(shift);
  const divisor = 10n ** BigInt(-shift);
  return (digits + divisor / 2n) / divisor;
}
