/** Reads environment variables into typed values. Every complaint names the variable, never the value. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A mistake in the configuration. Its message is all that a person needs: it is shown without a stack. */
export class ConfigurationError extends Error {
  override readonly name = "ConfigurationError";
}

/** The first of the named variables that is set and not empty. */
export function text(env: Environment, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = env[name];
    if (value !== undefined && value !== "") return value;
  }
  return undefined;
}

export function integer(env: Environment, name: string, fallback: number, min: number, max: number): number {
  const value = text(env, name);
  if (value === undefined) return fallback;
  const number = Number(value);
  if (!Number.isInteger(number) || number < min || number > max) {
    throw new ConfigurationError(`${name} must be a whole number from ${min} to ${max}`);
  }
  return number;
}

export function flag(env: Environment, name: string, fallback: boolean): boolean {
  const value = text(env, name)?.toLowerCase();
  if (value === undefined) return fallback;
  if (["1", "true", "yes", "on"].includes(value)) return true;
  if (["0", "false", "no", "off"].includes(value)) return false;
  throw new ConfigurationError(`${name} must be true or false`);
}

export function oneOf<T extends string>(env: Environment, name: string, values: readonly T[], fallback: T): T {
  const value = text(env, name)?.toLowerCase();
  if (value === undefined) return fallback;
  const found = values.find((candidate) => candidate === value);
  if (found === undefined) throw new ConfigurationError(`${name} must be one of ${values.join(", ")}`);
  return found;
}

/** A list separated by commas, without empty entries. */
export function list(env: Environment, name: string): readonly string[] | undefined {
  return text(env, name)
    ?.split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
}
