const units = ["s", "m", "h", "d", "w", "mo"] as const;

/** A second, minute, hour, day, week or calendar month. */
export type DurationUnit = (typeof units)[number];

/** A span of time as LiteLLM writes it: a whole number and a unit. */
export interface CalendarDuration {
  /** At least 1. */
  readonly amount: number;
  readonly unit: DurationUnit;
}

const unitMs: Record<Exclude<DurationUnit, "mo">, number> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** A hundred years: beyond that a number is a mistake, and dates would leave their range. */
const longestMs = 100 * 366 * unitMs.d;

/** Reads `30s`, `5m`, `12h`, `7d`, `1w` or `1mo`. Throws an Error that a user can read where the text is none of these. */
export function parseDuration(text: string): CalendarDuration {
  const match = /^([0-9]{1,12})(s|m|h|d|w|mo)$/.exec(text);
  const amount = Number(match?.[1] ?? 0);
  const unit = units.find((each) => each === match?.[2]);
  if (unit === undefined || amount < 1) {
    throw new Error(`'${text.slice(0, 40)}' is not a duration: write a whole number and s, m, h, d, w or mo, like 30d`);
  }
  if (amount * (unit === "mo" ? 31 * unitMs.d : unitMs[unit]) > longestMs) {
    throw new Error(`the duration '${text}' is longer than a hundred years`);
  }
  return { amount, unit };
}

/**
 * The moment that lies a duration after another. Months are calendar months of UTC: a month after January 31 is the last
 * day of February.
 */
export function addDuration(from: Date, { amount, unit }: CalendarDuration): Date {
  return unit === "mo" ? addMonths(from, amount) : new Date(from.getTime() + amount * unitMs[unit]);
}

/** The moment that lies a duration before another. */
export function subtractDuration(from: Date, { amount, unit }: CalendarDuration): Date {
  return unit === "mo" ? addMonths(from, -amount) : new Date(from.getTime() - amount * unitMs[unit]);
}

function addMonths(from: Date, months: number): Date {
  const to = new Date(from);
  to.setUTCDate(1);
  to.setUTCMonth(to.getUTCMonth() + months);
  const lastDay = new Date(Date.UTC(to.getUTCFullYear(), to.getUTCMonth() + 1, 0)).getUTCDate();
  to.setUTCDate(Math.min(from.getUTCDate(), lastDay));
  return to;
}
