/** Whether a JSON value asks for nothing: null, false, an empty list, an empty object or an empty string. */
export function isUnset(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === "") return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === "object" && Object.keys(value).length === 0;
}
