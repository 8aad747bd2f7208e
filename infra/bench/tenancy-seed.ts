import { authSchema } from "../../services/auth/db/schema.ts";
import { type Database, openDatabase } from "../../services/chassis/database/database.ts";
import { createLogger } from "../../services/chassis/log.ts";
import type { Secret } from "../../services/chassis/secret.ts";
import { routerSchema } from "../../services/router/db/schema.ts";

/** How much is in the database. */
export interface TenancySize {
  readonly keys: number;
  readonly teams: number;
  readonly users: number;
  readonly deployments: number;
}

/** A budget that the first keys refer to. */
export const sharedBudget = { id: "bench-budget", keys: 100 } as const;

/** The key with this number, as clients send it. */
export function keyAt(number: number): string {
  return `sk-bench-tenancy-${number}`;
}

/** The table's columns that every stored thing has. */
const stamps = "now() - n * interval '1 second', 'bench', now() - n * interval '1 second', 'bench', 1";
const stampColumns = "created_at, created_by, updated_at, updated_by, version";
const limits =
  "'limits', jsonb_build_object('maxBudget', '1000000000000000', 'rpmLimit', '1000000', 'tpmLimit', '1000000000')";

/**
 * Fills the database: keys with limits of users with limits, every second one in a team, each user a member of a team,
 * and five deployments under each model name. Returns a connection to it.
 */
export async function seedTenancy(url: Secret, { keys, teams, users, deployments }: TenancySize): Promise<Database> {
  const options = { url, log: createLogger("error"), statementTimeoutMs: 300_000 };
  const database = await openDatabase({ ...options, ...authSchema });
  await (await openDatabase({ ...options, ...routerSchema })).close();
  const userOf = `'user-' || n % ${users}`;
  const teamOf = `'team-' || n % ${teams}`;
  const statements = [
    `insert into auth.internal_user (user_id, user_email, user_alias, user_role, doc, ${stampColumns})
     select 'user-' || n, 'user-' || n || '@example.com', 'User ' || n, 'internal_user',
       jsonb_build_object('userEmail', 'user-' || n || '@example.com', 'userAlias', 'User ' || n, 'userRole', 'internal_user', ${limits}),
       ${stamps} from generate_series(0, ${users - 1}) n`,
    `insert into auth.team (team_id, team_alias, doc, ${stampColumns})
     select 'team-' || n, 'Team ' || n, jsonb_build_object('teamAlias', 'Team ' || n, ${limits}),
       ${stamps} from generate_series(0, ${teams - 1}) n`,
    `insert into auth.team_member (team_id, user_id, role, doc, ${stampColumns})
     select ${teamOf}, ${userOf}, 'user', '{}', ${stamps} from generate_series(0, ${users - 1}) n`,
    `insert into auth.budget (budget_id, doc, ${stampColumns})
     select '${sharedBudget.id}', '{"maxBudget": "1000000000000000"}', ${stamps} from generate_series(0, 0) n`,
    `insert into auth.virtual_key (key_id, key_name, key_alias, user_id, team_id, rotation_count, doc, ${stampColumns})
     select encode(sha256(convert_to('${keyAt(0).slice(0, -1)}' || n, 'UTF8')), 'hex'), 'sk-...' || right('0000' || n, 4),
       'key-' || n, ${userOf}, case when n % 2 = 0 then ${teamOf} end, 0,
       jsonb_strip_nulls(jsonb_build_object('keyAlias', 'key-' || n, 'userId', ${userOf},
         'teamId', case when n % 2 = 0 then ${teamOf} end,
         'limits', case when n < ${sharedBudget.keys} then '{"budgetId": "${sharedBudget.id}"}'::jsonb
           else jsonb_build_object('maxBudget', '1000000000000000', 'rpmLimit', '1000000') end)),
       ${stamps} from generate_series(0, ${keys - 1}) n`,
    `insert into router.deployment (model_id, model_name, litellm_params, model_info, blocked, ${stampColumns})
     select 'deployment-' || n, 'model-' || n / 5, '{"model": "mock/echo"}', '{}', false, ${stamps}
     from generate_series(0, ${deployments - 1}) n`,
    // What autovacuum does a minute later.
    "vacuum analyze",
  ];
  const session = await openDatabase({ ...options, ...authSchema, poolSize: 1 });
  // One entry for each table in the audit, not one for each of a hundred thousand keys.
  await session.em().execute("set sluice.audit_batch = 'benchmark'");
  for (const statement of statements) await session.em().execute(statement);
  await session.close();
  return database;
}

/** Reads of auth's tables since the database began; what connections have not told yet is not among them. */
export async function countReads(database: Database): Promise<number> {
  const [row] = await database
    .em()
    .execute(
      "select sum(coalesce(seq_scan, 0) + coalesce(idx_scan, 0))::int as reads from pg_stat_user_tables where schemaname = 'auth'",
    );
  return Number(row?.reads);
}

/** An idle connection of PostgreSQL tells its counts after ten seconds (PGSTAT_IDLE_INTERVAL in its pgstat.c). */
export const readsToldAfterMs = 11_000;
