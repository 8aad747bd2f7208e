import type { SqlEntityManager } from "@mikro-orm/postgresql";
import type { Database } from "#chassis/database/database.ts";
import type { Sealer } from "#chassis/sealing.ts";
import { Secret } from "#chassis/secret.ts";

/**
 * A moment's end of the chain, sealed under a key that the database does not have: whoever rewrites the log from there
 * on cannot rewrite the anchor. A checkpoint is one up to which the entries were removed.
 */
export interface Anchor {
  readonly kind: "anchor" | "checkpoint";
  readonly seq: bigint;
  /** Of the entry of that number, hex. */
  readonly hash: string;
  /** The number of the anchor or checkpoint before it, 0 for the first: one that was removed is missed. */
  readonly previous: bigint;
}

interface HeadRow {
  readonly seq: string;
  readonly hash: string;
  readonly previous: string;
}

const lastAnchor = "coalesce((select max(seq) from audit.anchor), 0)";

/** Anchors the end of the chain, unless that was done. Undefined where nothing was new. Replicas may do it at once. */
export async function anchorHead(database: Database, sealer: Sealer): Promise<Anchor | undefined> {
  return database.transaction(async (em) => {
    const [head] = await em.execute<HeadRow[]>(
      `select seq, encode(hash, 'hex') as hash, ${lastAnchor} as previous from audit.head`,
    );
    if (head === undefined || BigInt(head.seq) <= BigInt(head.previous)) return undefined;
    const anchor: Anchor = {
      ...{ kind: "anchor", hash: head.hash },
      seq: BigInt(head.seq),
      previous: BigInt(head.previous),
    };
    await insertAnchor(em, sealer, anchor);
    return anchor;
  });
}

/**
 * Removes entries that were made before a moment: a prefix of the chain, at most `most` of them, with the anchors that
 * belong to them. A checkpoint says that it was us, and where the rest goes on; the removal is an entry itself.
 *
 * @returns how many were removed, and the number of the last.
 */
export async function trimLog(
  database: Database,
  sealer: Sealer,
  before: Date,
  most: number,
): Promise<{ readonly rows: number; readonly upTo: bigint } | undefined> {
  return database.transaction(async (em) => {
    // Whoever trims holds the end of the chain: two at once take turns, and the second finds less to do.
    await em.execute("select seq from audit.head for update");
    const [last] = await em.execute<(HeadRow & { readonly rows: string })[]>(
      `with old as (select seq, hash, at from audit.log order by seq limit ?),
         kept as (select coalesce(min(seq), 9223372036854775807) as seq from old where at >= ?)
       select seq, encode(hash, 'hex') as hash, ${lastAnchor} as previous,
         (select count(*) from old where seq < (select seq from kept)) as rows
       from old where seq < (select seq from kept) order by seq desc limit 1`,
      [most, before],
    );
    if (last === undefined) return undefined;
    const upTo = BigInt(last.seq);
    await em.execute("select set_config('sluice.audit_retention', 'on', true)");
    await em.execute("delete from audit.log where seq <= ?", [upTo]);
    await em.execute("delete from audit.anchor where seq <= ?", [upTo]);
    // The first that is left may have lost its predecessor: the checkpoint takes its place.
    await insertAnchor(em, sealer, { kind: "checkpoint", seq: upTo, hash: last.hash, previous: 0n });
    await em.execute("select audit.append('audit.log', ?, 'deleted', jsonb_build_object('rows', ?::bigint), null)", [
      `up to ${upTo}`,
      last.rows,
    ]);
    return { rows: Number(last.rows), upTo };
  });
}

async function insertAnchor(em: SqlEntityManager, sealer: Sealer, anchor: Anchor): Promise<void> {
  const { seq, kind, hash } = anchor;
  await em.execute(
    `insert into audit.anchor (seq, kind, hash, at, sealed) values (?, ?, ?, clock_timestamp(), ?) on conflict do nothing`,
    [seq, kind, Buffer.from(hash, "hex"), Buffer.from(sealer.seal(new Secret(anchorText(anchor))))],
  );
}

function anchorText({ kind, seq, hash, previous }: Anchor): string {
  return `sluice-audit-v1 ${kind} ${seq} ${hash} ${previous}`;
}

const textForm = /^sluice-audit-v1 (anchor|checkpoint) (\d{1,19}) ([0-9a-f]{64}) (\d{1,19})$/;

/** What a sealed anchor says. Undefined where it does not open, or is something else that was sealed under this key. */
export function openAnchor(sealed: Uint8Array, sealer: Sealer): Anchor | undefined {
  let text: string;
  try {
    text = sealer.open(sealed).reveal();
  } catch {
    return undefined;
  }
  const [, kind, seq, hash, previous] = textForm.exec(text) ?? [];
  if ((kind !== "anchor" && kind !== "checkpoint") || hash === undefined) return undefined;
  return { kind, seq: BigInt(seq ?? 0), hash, previous: BigInt(previous ?? 0) };
}
