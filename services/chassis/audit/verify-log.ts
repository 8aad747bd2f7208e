import { createHash } from "node:crypto";
import { type Anchor, openAnchor } from "#chassis/audit/anchor.ts";
import { entryEncoding, genesisHash } from "#chassis/audit/encoding.ts";
import type { Database } from "#chassis/database/database.ts";
import type { Sealer } from "#chassis/sealing.ts";

/** An end of what was checked. */
export interface CheckedEntry {
  readonly seq: bigint;
  readonly at: Date;
}

/** What a check of the audit has found. */
export interface AuditReport {
  /** How many entries were checked. */
  readonly entries: number;
  readonly first: CheckedEntry | undefined;
  readonly last: CheckedEntry | undefined;
  /** Hex; what the log lines of anchors show. */
  readonly lastHash: string;
  readonly anchors: number;
  /** Up to where the chain is anchored, 0 where it is not. */
  readonly anchoredTo: bigint;
  /** Up to where retention has removed the entries, 0 where it has not. */
  readonly removedTo: bigint;
  /** The first thing that is wrong. Nothing behind it was checked. */
  readonly fault: AuditFault | undefined;
}

export interface AuditFault {
  /** The number of the entry that it was seen at. */
  readonly seq: bigint;
  readonly what: string;
}

interface EntryRow {
  readonly seq: string;
  readonly at_ms: number;
  readonly prev_hash: string;
  readonly hash: string;
  readonly content: string;
}

interface AnchorRow {
  readonly seq: string;
  readonly kind: string;
  readonly hash: string;
  readonly sealed: Uint8Array;
}

const pageSize = 200;
/** Of replicas that anchor at once one may not know of the other's: the predecessor is one of the last few. */
const rememberedAnchors = 16;
/** A log that grew for longer than this, and has no anchor, has lost them. */
const anchoredWithinMs = 3_600_000;
const mostTries = 3;

/**
 * Checks the whole log against its hashes, its head and its anchors, in pages: memory does not grow with it. Entries that
 * are appended meanwhile are left for the next time. Contents are hashed here, not by the database's own functions.
 */
export async function verifyLog(database: Database, sealer: Sealer): Promise<AuditReport> {
  for (let tries = 1; ; tries += 1) {
    const run = new LogCheck(database, sealer);
    const report = await run.check();
    // Retention may have removed what was just to be read.
    const again = report.fault !== undefined && tries < mostTries && (await run.hasNewCheckpoint());
    if (!again) return report;
  }
}

class LogCheck {
  readonly #database: Database;
  readonly #sealer: Sealer;
  readonly #recent: bigint[] = [0n];
  #seq = 0n;
  #hash = genesisHash;
  #removedTo = 0n;
  #entries = 0;
  #anchors = 0;
  #anchoredTo = 0n;
  #first: CheckedEntry | undefined;
  #last: CheckedEntry | undefined;

  constructor(database: Database, sealer: Sealer) {
    this.#database = database;
    this.#sealer = sealer;
  }

  async check(): Promise<AuditReport> {
    const fault = await this.#findFault();
    return {
      entries: this.#entries,
      first: this.#first,
      last: this.#last,
      lastHash: this.#hash,
      anchors: this.#anchors,
      anchoredTo: this.#anchoredTo,
      removedTo: this.#removedTo,
      fault,
    };
  }

  async hasNewCheckpoint(): Promise<boolean> {
    return ((await this.#latestCheckpoint())?.seq ?? "0") !== String(this.#removedTo);
  }

  async #findFault(): Promise<AuditFault | undefined> {
    const head = await this.#head();
    if (head === undefined) return { seq: 0n, what: "the row that says where the chain ends is missing" };
    const fault = (await this.#startAtCheckpoint()) ?? (await this.#checkPages(BigInt(head.seq)));
    if (fault !== undefined) return fault;
    if (this.#seq !== BigInt(head.seq) || this.#hash !== head.hash) {
      return { seq: this.#seq, what: `the log ends here, and the head says that it ends with entry ${head.seq}` };
    }
    return (await this.#checkLaterAnchors()) ?? this.#checkAnchored();
  }

  async #startAtCheckpoint(): Promise<AuditFault | undefined> {
    const row = await this.#latestCheckpoint();
    if (row === undefined) return undefined;
    const opened = this.#openRow(row);
    if (typeof opened === "string") return { seq: BigInt(row.seq), what: opened };
    this.#seq = opened.seq;
    this.#hash = opened.hash;
    this.#removedTo = opened.seq;
    this.#anchoredTo = opened.seq;
    return undefined;
  }

  async #checkPages(until: bigint): Promise<AuditFault | undefined> {
    for (;;) {
      const rows = await this.#database.em().execute<EntryRow[]>(
        `select seq, (extract(epoch from at) * 1000)::double precision as at_ms, encode(prev_hash, 'hex') as prev_hash,
           encode(hash, 'hex') as hash, ${entryEncoding("log")} as content
         from audit.log as log where seq > ? and seq <= ? order by seq limit ${pageSize}`,
        [this.#seq, until],
      );
      if (rows.length === 0) return undefined;
      const anchors = await this.#anchorsBetween(this.#seq, BigInt(rows.at(-1)?.seq ?? 0));
      for (const row of rows) {
        const fault = this.#checkEntry(row) ?? this.#checkAnchors(row, anchors.get(row.seq) ?? []);
        if (fault !== undefined) return fault;
      }
    }
  }

  #checkEntry(row: EntryRow): AuditFault | undefined {
    const seq = BigInt(row.seq);
    const expected = this.#seq + 1n;
    if (seq !== expected) return { seq: expected, what: `it is missing: entry ${seq} is the next one there` };
    if (row.prev_hash !== this.#hash)
      return { seq, what: `it does not follow entry ${this.#seq}: one of them was changed` };
    if (createHash("sha256").update(row.content).digest("hex") !== row.hash) {
      return { seq, what: "it was changed: its hash is not that of its contents" };
    }
    this.#seq = seq;
    this.#hash = row.hash;
    this.#entries += 1;
    this.#last = { seq, at: new Date(row.at_ms) };
    this.#first ??= this.#last;
    return undefined;
  }

  #checkAnchors(row: EntryRow, anchors: readonly AnchorRow[]): AuditFault | undefined {
    const seq = BigInt(row.seq);
    for (const each of anchors) {
      const opened = this.#openRow(each);
      if (typeof opened === "string") return { seq, what: opened };
      if (opened.hash !== row.hash)
        return { seq, what: "it is not the entry that was anchored: the log was rewritten" };
      if (opened.previous > this.#removedTo && !this.#recent.includes(opened.previous)) {
        return { seq, what: `the anchor before that of this entry, of entry ${opened.previous}, was removed` };
      }
      this.#recent.push(seq);
      if (this.#recent.length > rememberedAnchors) this.#recent.shift();
      this.#anchors += 1;
      this.#anchoredTo = seq;
    }
    return undefined;
  }

  /** An anchor beyond the end says that entries were cut off, unless they have come since. */
  async #checkLaterAnchors(): Promise<AuditFault | undefined> {
    const [anchor] = await this.#database
      .em()
      .execute<{ seq: string }[]>("select seq from audit.anchor where seq > ? order by seq desc limit 1", [this.#seq]);
    const head = await this.#head();
    if (anchor === undefined || BigInt(anchor.seq) <= BigInt(head?.seq ?? 0)) return undefined;
    return {
      seq: this.#seq,
      what: `the log ends here, and entry ${anchor.seq} was anchored: what came behind was removed`,
    };
  }

  #checkAnchored(): AuditFault | undefined {
    if (this.#anchoredTo > 0n || this.#first === undefined || this.#last === undefined) return undefined;
    if (this.#last.at.getTime() - this.#first.at.getTime() < anchoredWithinMs) return undefined;
    return { seq: this.#seq, what: "no entry up to this one is anchored: the anchors were removed" };
  }

  #openRow(row: AnchorRow): Anchor | string {
    const opened = openAnchor(row.sealed, this.#sealer);
    if (opened === undefined) {
      return "its anchor does not open: it was forged, or sealed under another salt or master key";
    }
    const isItself = opened.kind === row.kind && String(opened.seq) === row.seq && opened.hash === row.hash;
    return isItself ? opened : "its anchor was changed: it does not say what was sealed in it";
  }

  async #anchorsBetween(after: bigint, upTo: bigint): Promise<Map<string, AnchorRow[]>> {
    const rows = await this.#database.em().execute<AnchorRow[]>(
      `select seq, kind, encode(hash, 'hex') as hash, sealed from audit.anchor
       where seq > ? and seq <= ? and kind = 'anchor' order by seq`,
      [after, upTo],
    );
    return Map.groupBy(rows, ({ seq }) => seq);
  }

  async #latestCheckpoint(): Promise<AnchorRow | undefined> {
    const [row] = await this.#database
      .em()
      .execute<AnchorRow[]>(
        "select seq, kind, encode(hash, 'hex') as hash, sealed from audit.anchor where kind = 'checkpoint' order by seq desc limit 1",
      );
    return row;
  }

  async #head(): Promise<{ readonly seq: string; readonly hash: string } | undefined> {
    const [head] = await this.#database
      .em()
      .execute<{ seq: string; hash: string }[]>("select seq, encode(hash, 'hex') as hash from audit.head");
    return head;
  }
}
