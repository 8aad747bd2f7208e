import type { Line } from "./report.ts";

/** What was found with many keys, users and teams in the database. Times are milliseconds; NaN is not measured. */
export interface TenancyFigures {
  readonly size: string;
  /** Whether there was as much in the database as the targets are about. */
  readonly whole: boolean;
  readonly startMs: number;
  /** The first use of a key that asks for nothing but who the key is, and of one that calls a model. */
  readonly lookupP50: number;
  readonly lookupP95: number;
  readonly firstUseP50: number;
  readonly laterUseP50: number;
  /** Questions to auth, and reads of its tables, by one later use of a key. */
  readonly laterLookups: number;
  readonly laterReads: number;
  /** The 95th percentile of each list that there is. */
  readonly lists: Readonly<Record<string, number>>;
  /** How long a change took at most until two replicas followed it, by what was changed. */
  readonly changesWithEvents: Readonly<Record<string, number>>;
  readonly changesWithoutEvents: Readonly<Record<string, number>>;
  readonly hotKeys: number;
  readonly hotKeysMb: number;
  /** Questions to auth for each distinct key that nobody knows, in the time that an answer is kept. */
  readonly unknownLookups: number;
  /** Latency of good traffic during a flood ÷ without one: all of it from one address, and from many. */
  readonly floodFromOne: number;
  readonly floodFromMany: number;
}

/** The figures with what they should be. */
export function tenancyLines(figures: TenancyFigures | undefined): Line[] {
  if (figures === undefined) return [];
  const goal = (atMost: number) => (figures.whole ? { atMost } : {});
  const each = (of: Readonly<Record<string, number>>, what: (name: string) => string, unit: string, atMost: number) =>
    Object.entries(of).map(([name, figure]) => ({ what: what(name), figure, unit, ...goal(atMost) }));
  const { size, hotKeys } = figures;
  return [
    { what: `start with ${size}`, figure: figures.startMs / 1000, unit: "s", ...goal(5) },
    { what: "first use of a key (p50)", figure: figures.lookupP50, unit: "ms", ...goal(10) },
    { what: "first use of a key (p95)", figure: figures.lookupP95, unit: "ms" },
    { what: "first call of a model with a key, lease included (p50)", figure: figures.firstUseP50, unit: "ms" },
    { what: "later calls of a model with it (p50)", figure: figures.laterUseP50, unit: "ms" },
    { what: "questions to auth by a later use", figure: figures.laterLookups, unit: "", ...goal(0) },
    { what: "reads of auth's tables by a later use", figure: figures.laterReads, unit: "", ...goal(0) },
    ...each(figures.lists, (path) => `pages of ${path} (p95)`, "ms", 50),
    ...each(figures.changesWithEvents, (what) => `${what}: two replicas follow, with NATS`, "s", 1),
    ...each(figures.changesWithoutEvents, (what) => `${what}: two replicas follow, without NATS`, "s", 10.5),
    { what: `memory of an edge for ${hotKeys} keys in use`, figure: figures.hotKeysMb, unit: "MB", ...goal(150) },
    {
      what: "questions to auth per unknown key in 10 s, flood of 1000/s",
      figure: figures.unknownLookups,
      unit: "",
      ...goal(1),
    },
    {
      what: "latency of good traffic, flood from one address ÷ none",
      figure: figures.floodFromOne,
      unit: "×",
      ...goal(1.1),
    },
    {
      what: "latency of good traffic, flood from many addresses ÷ none",
      figure: figures.floodFromMany,
      unit: "×",
      ...goal(1.1),
    },
  ];
}
