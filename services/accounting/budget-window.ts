import type { CalendarDuration } from "#chassis/duration.ts";
import { type TimeZone, utc } from "./time-zone.ts";

/** A budget window, in milliseconds since the epoch. `end` is the first moment that belongs to the next window. */
export interface BudgetWindow {
  readonly startMs: number;
  /** Undefined means that the budget never resets. */
  readonly endMs: number | undefined;
}

const dayMs = 86_400_000;
/** 5 January 1970 was a Monday. */
const firstMondayMs = 4 * dayMs;

/**
 * The window that holds a moment. Windows are LiteLLM's standardised ones, on the clocks of a time zone: seconds, minutes
 * and hours are aligned to the clock, `1d` ends at midnight, `7d` and `1w` on Monday, `30d` and months on the first of a
 * month, and any other number of days is counted in whole days from the day of the anchor. Where clocks are turned, a
 * day is an hour longer or shorter.
 */
export function budgetWindowAt(
  duration: CalendarDuration,
  anchorMs: number,
  nowMs: number,
  zone: TimeZone = utc,
): BudgetWindow {
  const { startMs, endMs } = localWindow(duration, zone.toLocal(anchorMs), zone.toLocal(nowMs));
  return { startMs: zone.toInstant(startMs), endMs: endMs === undefined ? undefined : zone.toInstant(endMs) };
}

/** The same where all times are what a clock shows, counted as if that clock were in UTC. */
function localWindow(duration: CalendarDuration, anchorMs: number, nowMs: number): BudgetWindow {
  const { amount, unit } = duration;
  switch (unit) {
    case "mo":
      return monthWindow(amount, anchorMs, nowMs);
    case "s":
      return fixedWindow(amount * 1000, 0, nowMs);
    case "m":
      return fixedWindow(amount * 60_000, 0, nowMs);
    case "h":
      return fixedWindow(amount * 3_600_000, 0, nowMs);
    case "d":
      return dayWindow(amount, anchorMs, nowMs);
    case "w":
      return dayWindow(amount * 7, anchorMs, nowMs);
  }
}

function dayWindow(days: number, anchorMs: number, nowMs: number): BudgetWindow {
  if (days === 30) return monthWindow(1, anchorMs, nowMs);
  const origin = days === 7 ? firstMondayMs : Math.floor(anchorMs / dayMs) * dayMs;
  return fixedWindow(days * dayMs, origin, nowMs);
}

function fixedWindow(length: number, originMs: number, nowMs: number): BudgetWindow {
  const startMs = originMs + Math.floor((nowMs - originMs) / length) * length;
  return { startMs, endMs: startMs + length };
}

function monthWindow(months: number, anchorMs: number, nowMs: number): BudgetWindow {
  const origin = monthIndex(anchorMs);
  const start = origin + Math.floor((monthIndex(nowMs) - origin) / months) * months;
  return { startMs: Date.UTC(1970, start), endMs: Date.UTC(1970, start + months) };
}

/** Months since January 1970. */
function monthIndex(ms: number): number {
  const date = new Date(ms);
  return (date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth();
}
