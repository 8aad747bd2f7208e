import assert from "node:assert/strict";
import { after, test } from "node:test";
import { openDatabase } from "#chassis/database/database.ts";
import { createLogger } from "#chassis/log.ts";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { asMaster, deliver, noon, startAccounting, usage } from "../../testing/accounting-fixture.ts";
import { accountingSchema } from "../schema.ts";

const databases = await startTestDatabases();
after(() => databases.stop());
const log = createLogger("error", () => {});

const columns = `day, record_id, call_id, operation, model, model_group, deployment, provider, upstream_model, key_id,
  key_alias, user_id, team_id, end_user, tags, stream, status, input_tokens, output_tokens, cache_read_tokens,
  cache_write_tokens, cache_write_1h_tokens, reasoning_tokens, input_audio_tokens, output_audio_tokens, tool_calls,
  usage_estimated, cost_nano_usd, cost_state, started_at, ended_at, first_payload_at, lease_owner, settlements,
  finish_reason, attempted_retries, attempted_fallbacks`;

/** Rows as the wide table had them: two days, two keys, and what may be absent there and not there. */
const wideRows = `insert into accounting.spend_log (${columns})
  select day, (lpad(to_hex((extract(epoch from day) * 1000 + n)::bigint), 12, '0') || '70008000' || lpad(n::text, 12, '0'))::uuid,
    'call-' || n, 'chat_completions', 'success', 'gpt-4o', 'deployment', 'openai', 'gpt-4o', 'key' || n % 2, '', 'ann', '',
    case when n % 3 = 0 then 'eve' else '' end, case when n % 4 = 0 then array['a', 'b"c'] else '{}' end, n % 2 = 0, 'success',
    n, 2, n % 2, 0, 0, 4, 0, 0, n % 2, false, n * 10, 'priced', day + interval '1 hour', day + interval '2 hours',
    case when n % 2 = 0 then day + interval '1 hour' end, 'owner', '[{"scope": "key:a", "tokens": "7", "nano_usd": "9"}]', 'stop', 0, n % 2
  from generate_series(1, 20) as n, (values ('2026-06-09'::date), ('2026-06-10'::date)) as days(day)`;

for (const { name, url } of databases.all) {
  test(`calls of the wide table are the same in the view, and are not settled again (${name})`, async () => {
    const before = await openDatabase({
      url,
      log,
      ...accountingSchema,
      migrations: accountingSchema.migrations.slice(0, 2),
    });
    for (const day of ["09", "10"]) {
      await before.em().execute(
        `create table accounting.spend_log_202606${day} partition of accounting.spend_log
           for values from ('2026-06-${day}') to ('2026-06-${Number(day) + 1}')`,
      );
    }
    await before.em().execute(wideRows);
    const read = `select to_jsonb(all_of) as row from (select ${columns} from accounting.spend_log) as all_of order by record_id`;
    const wide = await before.em().execute(read);
    await before.close();

    const accounting = await startAccounting(url);
    const narrow = await accounting.database.em().execute(read);
    assert.equal(wide.length, 40);
    assert.deepEqual(narrow, wide);

    const ids = wide.map(({ row }) => row.record_id);
    const again = ids.map((recordId, n) => usage(n, noon, "key:again", 5n, { recordId }));
    await deliver(accounting, [...again, usage(1, noon, "key:again", 7n)]);
    const { spends } = await accounting.spend.getSpend({ scopes: ["key:again"] });
    assert.equal(spends[0]?.spentNanoUsd, 7n);

    const { logs } = await accounting.spend.listSpendLogs({ apiKey: "key1", limit: 100 }, asMaster);
    assert.equal(JSON.parse(new TextDecoder().decode(logs)).length, 20);
    await accounting.close();
  });
}
