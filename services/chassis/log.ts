export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Structured log: one JSON object a line on standard error. Fields are scalars, so that nothing can hide in them. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds fields to every line. */
  with(fields: LogFields): Logger;
}

const order: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

export function createLogger(
  level: LogLevel,
  write: (line: string) => void = (line) => process.stderr.write(line),
  bound: LogFields = {},
): Logger {
  const at =
    (own: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (order[own] < order[level]) return;
      write(`${JSON.stringify({ time: new Date().toISOString(), level: own, message, ...bound, ...fields })}\n`);
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    with: (fields) => createLogger(level, write, { ...bound, ...fields }),
  };
}

/** What an unknown thrown value may say in a log line. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
