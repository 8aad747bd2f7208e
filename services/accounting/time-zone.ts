/** What clocks show somewhere. Local times are milliseconds, counted as if the clock were one in UTC. */
export interface TimeZone {
  /** As `timeZone` takes it. */
  readonly name: string;
  toLocal(instantMs: number): number;
  /** A time that no clock shows, where clocks are put forward, is the moment they are; one shown twice is the first. */
  toInstant(localMs: number): number;
}

export const utc: TimeZone = { name: "UTC", toLocal: (ms) => ms, toInstant: (ms) => ms };

/** The zone of an IANA name, `Europe/Berlin` for example. @throws RangeError where there is none. */
export function timeZone(name: string): TimeZone {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: name,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  if (/^(?:Etc\/)?(?:UTC|GMT)$/.test(format.resolvedOptions().timeZone)) return utc;

  function toLocal(instantMs: number): number {
    const parts: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
    for (const { type, value } of format.formatToParts(instantMs)) parts[type] = Number(value);
    const { year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
    const milliseconds = ((instantMs % 1000) + 1000) % 1000;
    return Date.UTC(year, month - 1, day, hour, minute, second, milliseconds);
  }

  return {
    name,
    toLocal,
    toInstant(localMs) {
      // The offset of a day before and of a day after: one of them holds, and both do where clocks were not turned.
      const candidates = [-dayMs, dayMs].map((away) => localMs - (toLocal(localMs + away) - (localMs + away)));
      const exact = candidates.filter((instant) => toLocal(instant) === localMs);
      return exact.length > 0 ? Math.min(...exact) : Math.max(...candidates);
    },
  };
}

const dayMs = 86_400_000;
