import type { ImportFate } from "#chassis/database/imported-rows.ts";
import type { Left } from "./fields.ts";

/** What became of the rows of one kind. */
export type Counts = Record<ImportFate | "left", number>;

/** Something that did not come along, of some objects of a kind. */
export interface LeftGroup extends Left {
  readonly kind: string;
  count: number;
  /** The first of them by name. */
  readonly objects: string[];
}

const namedObjects = 1000;
const shownObjects = 3;

/** Why a whole row is left. */
const reasons: Readonly<Partial<Record<ImportFate, string>>> = {
  occupied: "there is one of this id here that did not come from LiteLLM, and it differs",
  changed: "it was changed here since the last import",
  deleted: "it was deleted or replaced here since the last import",
};

/** Counts and names what an import did, in bounded memory. It holds no secret. */
export class ImportReport {
  readonly dryRun: boolean;
  readonly #kinds = new Map<string, Counts>();
  readonly #left = new Map<string, LeftGroup>();

  constructor(dryRun: boolean) {
    this.dryRun = dryRun;
  }

  /** A row, with what of it was left. */
  row(kind: string, name: string, fate: ImportFate, left: readonly Left[]): void {
    const reason = reasons[fate];
    this.#count(kind, fate);
    if (reason !== undefined) this.#leave(kind, name, { field: "", reason });
    for (const each of left) this.#leave(kind, name, each);
  }

  /** A row that does not come along at all. */
  leftRow(kind: string, name: string, reason: string): void {
    this.#count(kind, "left");
    this.#leave(kind, name, { field: "", reason });
  }

  /** Rows of a table that has no counterpart. */
  leftRows(kind: string, count: number, reason: string): void {
    this.counts(kind).left += count;
    this.#leave(kind, "", { field: "", reason }, count);
  }

  /** Something of a row that was counted already. */
  leftField(kind: string, name: string, left: Left): void {
    this.#leave(kind, name, left);
  }

  counts(kind: string): Counts {
    const known = this.#kinds.get(kind);
    if (known !== undefined) return known;
    const counts: Counts = { created: 0, updated: 0, unchanged: 0, occupied: 0, changed: 0, deleted: 0, left: 0 };
    this.#kinds.set(kind, counts);
    return counts;
  }

  toJSON(): object {
    return { dryRun: this.dryRun, kinds: Object.fromEntries(this.#kinds), left: [...this.#left.values()] };
  }

  /** The report for a person. */
  toText(): string {
    const verb = this.dryRun ? ["to take", "to update"] : ["taken", "updated"];
    const head = ["", ...verb, "unchanged", "left"];
    const body = [...this.#kinds].map(([kind, { created, updated, unchanged, occupied, changed, deleted, left }]) => [
      kind,
      ...[created, updated, unchanged, occupied + changed + deleted + left].map(String),
    ]);
    const table = [head, ...body].map(([kind = "", ...numbers]) =>
      `  ${kind.padEnd(32)}${numbers.map((text) => text.padStart(10)).join("")}`.trimEnd(),
    );
    const left = [...this.#left.values()].map(({ kind, field, reason, count, objects }) => {
      const named = objects.filter((name) => name !== "").slice(0, shownObjects);
      const more = count - named.length;
      const who = named.length === 0 ? `${count}` : `${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
      return `  ${kind}${field === "" ? "" : `, ${field}`}: ${reason.replace(/\.$/, "")} (${who})`;
    });
    const rest = left.length === 0 ? [] : ["", "Left, or without effect here:", "", ...left];
    const end = this.dryRun ? ["", "A dry run: nothing was written."] : [];
    const lines = [...table, ...rest, ...end, ""];
    // Names are other people's words: none of them moves the cursor of a terminal.
    return lines.map((line) => line.replaceAll(/\p{Cc}/gu, "?")).join("\n");
  }

  #count(kind: string, fate: keyof Counts): void {
    this.counts(kind)[fate] += 1;
  }

  #leave(kind: string, name: string, { field, reason }: Left, count = 1): void {
    const id = `${kind}\n${field}\n${reason}`;
    const group = this.#left.get(id) ?? { kind, field, reason, count: 0, objects: [] };
    group.count += count;
    if (name !== "" && group.objects.length < namedObjects) group.objects.push(name);
    this.#left.set(id, group);
  }
}
