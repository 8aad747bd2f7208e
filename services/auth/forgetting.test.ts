import assert from "node:assert/strict";
import { after, test } from "node:test";
import { createNoopMeter } from "@opentelemetry/api";
import { createLogger } from "#chassis/log.ts";
import { createLocalClient } from "#chassis/rpc/local-client.ts";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { testKeyring } from "#chassis/testing/keyring.ts";
import { SpendService } from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import { TeamService } from "#gen/sluice/auth/v1/team_service_pb.ts";
import { readEnv } from "./config.ts";
import { createAuthTelemetry } from "./events.ts";
import { forgetEnded } from "./forgetting.ts";
import { createMasterKeys } from "./master-keys.ts";
import { generate, master, now, setUp } from "./testing/auth-fixture.ts";

const databases = await startTestDatabases();
after(() => databases.stop());
const dayMs = 86_400_000;

for (const { name, url } of databases.all) {
  test(`what a deleted key or team has spent is forgotten after a month, unless it is there again (${name})`, async () => {
    const setup = await setUp(url);
    const teams = setup.client(TeamService);
    const live = await generate(setup.keys, {}, master);
    await teams.createTeam({ teamId: "ended: a|b", members: ["u:1"] }, master);
    await teams.createTeam({ teamId: "again", members: ["u:1"] }, master);
    const key = await generate(setup.keys, { teamId: "again" }, master);
    await teams.deleteTeams({ teamIds: ["ended: a|b", "again"] }, master);
    await teams.createTeam({ teamId: "again", members: ["u:1"] }, master);
    const rotated = await setup.keys.regenerateKey({ key: live.token }, master);
    assert.ok(rotated.key);

    const forgotten: string[] = [];
    const accounting = { works: false };
    const clock = { now };
    const log = createLogger("error", () => undefined);
    const context = {
      database: setup.database,
      announcer: { note: async () => {}, announce: async () => {}, close: async () => {} },
      spend: createLocalClient(SpendService, {
        forgetSpend({ scopes }: { scopes: string[] }) {
          if (!accounting.works) throw new Error("down");
          forgotten.push(...scopes);
          return {};
        },
      }),
      masterKeys: createMasterKeys(setup.database, undefined),
      keyring: testKeyring(),
      config: readEnv({}),
      telemetry: createAuthTelemetry(createNoopMeter(), log),
      clock: () => clock.now,
    };
    clock.now = now + 29 * dayMs;
    await forgetEnded(context);
    clock.now = now + 31 * dayMs;
    await assert.rejects(forgetEnded(context));
    assert.deepEqual(forgotten, []);
    accounting.works = true;
    await forgetEnded(context);
    assert.deepEqual(
      forgotten.toSorted(),
      [`key:${key.token}`, `key:${live.token}`, "team:ended: a|b", "member:ended%3A%20a%7Cb:u%3A1"].toSorted(),
    );
    await forgetEnded(context);
    assert.equal(forgotten.length, 4);
    await setup.close();
  });
}
