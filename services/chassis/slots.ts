/** What is kept in `Slots` remembers where. */
export interface Slotted {
  /** Written by `Slots` alone. */
  slot: number;
}

/**
 * A set of what runs at the moment, for thousands that come and go in a second. A `Set` makes a new table whenever a hundred or
 * so have gone, and each table points to the next: once one of them has become old, the collector takes all that ever
 * stood in those behind it for alive, and moves it among the old until it looks at those, seconds later.
 */
export class Slots<T extends Slotted> implements Iterable<T> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  add(item: T): void {
    item.slot = this.#items.push(item) - 1;
  }

  /** Whether it was there. The last one takes its place. */
  delete(item: T): boolean {
    if (this.#items[item.slot] !== item) return false;
    const last = this.#items.pop();
    if (last !== undefined && last !== item) {
      this.#items[item.slot] = last;
      last.slot = item.slot;
    }
    return true;
  }

  /** Delete nothing meanwhile. */
  [Symbol.iterator](): Iterator<T> {
    return this.#items.values();
  }
}
