import assert from "node:assert/strict";
import { after, afterEach, describe, test } from "node:test";
import type { Client } from "@connectrpc/connect";
import { openDatabase } from "#chassis/database/database.ts";
import { createInProcessBus } from "#chassis/events/in-process.ts";
import { createLogger } from "#chassis/log.ts";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { DeploymentsChangedSchema } from "#gen/sluice/router/v1/model_pb.ts";
import type { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import { routerSchema } from "./db/schema.ts";
import {
  as,
  asMaster,
  clearModels,
  fails,
  json,
  type ModelStage,
  type ModelStageOptions,
  parse,
  startModelStage,
  until,
} from "./testing/model-stage.ts";
import { outcome, startRouter } from "./testing/router-harness.ts";

const key = "sk-canary-0123456789-wxyz";
const masked = "sk-c****wxyz";
const log = createLogger("error", () => {});
const databases = await startTestDatabases();
const stages: ModelStage[] = [];
after(() => databases.stop());

for (const { name: kind, url } of databases.all) {
  const start = async (options: ModelStageOptions = {}) => {
    const stage = await startModelStage(url, options);
    stages.push(stage);
    return stage;
  };
  const add = (
    models: Client<typeof ModelService>,
    params: object,
    info: object = {},
    modelName = "db",
    options = asMaster,
  ) => models.createModel({ modelName, litellmParams: json(params), modelInfo: json(info) }, options);

  describe(`models of the database (${kind})`, () => {
    afterEach(async () => {
      for (const [index, stage] of stages.splice(0).entries()) {
        if (index === 0) await clearModels(stage.database);
        await stage.close();
      }
    });

    test("a new model answers at once, and its credential is sealed in the table and masked in answers", async () => {
      const { models, adapter, database, sealer, ...rest } = await start();
      const params = {
        model: "openai/gpt-4o",
        api_key: key,
        temperature: 0.5,
        rpm: 9,
        extra_headers: { "x-team": key },
      };
      const { model } = await add(models, params, { id: "m1", mode: "chat", tier: "paid" });
      assert.deepEqual(parse(model?.litellmParams), {
        ...params,
        api_key: masked,
        extra_headers: { "x-team": masked },
      });
      assert.deepEqual(
        [model?.modelId, model?.modelName, model?.version, model?.createdBy, model?.blocked],
        ["m1", "db", 1, "f".repeat(64), false],
      );
      assert.equal(
        await outcome({ ...rest, models, sealer } as ModelStage, { model: "db" }),
        "db retries=0 fallbacks=0",
      );
      const [sent] = adapter.requests;
      assert.equal(sealer.open(sent?.target?.sealedCredential ?? new Uint8Array()).reveal(), key);
      assert.equal(sent?.target?.headers["x-team"], key);
      const rows = await database.em().execute("select * from router.deployment");
      assert.equal(rows.length, 1);
      const stored = JSON.stringify(rows, (_, value) =>
        value?.type === "Buffer" ? Buffer.from(value.data).toString("latin1") : value,
      );
      assert.match(stored, /"rpm":9/);
      assert.doesNotMatch(stored, /canary/);
      const { data } = await models.listModelInfo({}, asMaster);
      const info = parse(data[0]?.modelInfo);
      assert.deepEqual([info.id, info.db_model, info.tier, info.litellm_provider], ["m1", true, "paid", "openai"]);
      assert.equal(info.input_cost_per_token, 0.0000025);
      assert.doesNotMatch(
        JSON.stringify(data.map((each) => [parse(each.litellmParams), parse(each.modelInfo)])),
        /canary/,
      );
    });

    test("what is wrong with a model is said by name", async () => {
      const yaml =
        "model_list: [{model_name: c, litellm_params: {model: openai/x, api_key: k}, model_info: {id: taken}}]";
      const { models } = await start({ yaml });
      const cases: [params: object, info: object, param: string, said: RegExp][] = [
        [{ model: "openai/x", api_key: 5 }, {}, "litellm_params.api_key", /expected a string, got a number/],
        [{ model: "openai/x", rpm: -1 }, {}, "litellm_params.rpm", /positive integer/],
        [{ model: "openai/x", api_base: "file:///etc/passwd" }, {}, "litellm_params.api_base", /http/],
        [{ model: "nothing" }, {}, "litellm_params.model", /provider\/model/],
        [{ model: "unheard/of" }, {}, "litellm_params", /not supported yet/],
        [{}, {}, "litellm_params.model", /expected/],
        [{ model: "openai/x", max_budget: 5 }, {}, "litellm_params.max_budget", /not supported yet/],
        [
          { model: "openai/x" },
          { supported_environments: ["a"] },
          "model_info.supported_environments",
          /not supported/,
        ],
        [{ model: "openai/x", litellm_credential_name: "none" }, {}, "litellm_credential_name", /no credential 'none'/],
        [{ model: "openai/x" }, { id: 5 }, "model_info.id", /text/],
        [{ model: "openai/x" }, { access_groups: "a" }, "model_info.access_groups", /list/],
      ];
      for (const [params, info, param, said] of cases) {
        await assert.rejects(add(models, params, info), fails(Reason.INVALID_REQUEST, said, param), param);
      }
      await assert.rejects(
        add(models, { model: "openai/x" }, { id: "taken" }),
        fails(Reason.CONFLICT, /exists already/),
      );
      await assert.rejects(add(models, { model: "openai/x" }, {}, ""), fails(Reason.INVALID_REQUEST, /model_name/));
      const { model } = await add(models, {
        model: "bedrock/x",
        aws_region_name: "eu-1",
        use_in_pass_through: false,
        tags: [],
      });
      assert.deepEqual(parse(model?.litellmParams), { model: "bedrock/x", aws_region_name: "eu-1" });
    });

    test("updates: what is absent stays, what comes back masked stays, null removes by PATCH alone", async () => {
      const { models, adapter, sealer, inference } = await start();
      await add(models, { model: "openai/a", api_key: key, rpm: 5, timeout: 3 }, { id: "m", tier: "paid" });
      const posted = await models.updateModel(
        { litellmParams: json({ api_key: masked, rpm: null, tpm: 7 }), modelInfo: json({ id: "m", tier: null }) },
        asMaster,
      );
      assert.deepEqual(parse(posted.model?.litellmParams), {
        model: "openai/a",
        api_key: masked,
        rpm: 5,
        timeout: 3,
        tpm: 7,
      });
      const shown = (await models.listModelInfo({ litellmModelId: "m" }, asMaster)).data[0];
      const patched = await models.patchModel(
        {
          modelId: "m",
          modelName: "renamed",
          litellmParams: json({ rpm: null }),
          modelInfo: shown?.modelInfo,
          version: 2,
        },
        asMaster,
      );
      assert.deepEqual(parse(patched.model?.litellmParams), { model: "openai/a", api_key: masked, timeout: 3, tpm: 7 });
      assert.deepEqual(
        [
          patched.model?.version,
          parse(patched.model?.modelInfo).input_cost_per_token,
          parse(patched.model?.modelInfo).tier,
        ],
        [3, undefined, "paid"],
      );
      for await (const _ of inference.infer({
        model: "renamed",
        caller: { kind: CallerKind.MASTER },
        stream: true,
        shape: {},
      }));
      assert.equal(sealer.open(adapter.requests[0]?.target?.sealedCredential ?? new Uint8Array()).reveal(), key);
      const stale = models.patchModel({ modelId: "m", version: 2, litellmParams: json({ rpm: 1 }) }, asMaster);
      await assert.rejects(stale, fails(Reason.CONFLICT, /version 3, not 2/, "version"));
      await models.patchModel({ modelId: "m", blocked: true }, asMaster);
      await assert.rejects(
        async () => {
          for await (const _ of inference.infer({ model: "renamed", caller: { kind: CallerKind.MASTER }, shape: {} }));
        },
        fails(Reason.MODEL_NOT_FOUND, /renamed/),
      );
      assert.equal((await models.unblockModel({ modelId: "m" }, asMaster)).model?.blocked, false);
      const renamed = { model: "renamed", caller: { kind: CallerKind.MASTER }, shape: {} };
      for await (const _ of inference.infer(renamed));
      const { model: blocked } = await models.blockModel({ modelId: "m" }, asMaster);
      assert.deepEqual([blocked?.blocked, blocked?.version], [true, 6]);
      await assert.rejects(
        async () => {
          for await (const _ of inference.infer(renamed));
        },
        fails(Reason.MODEL_NOT_FOUND, /renamed/),
      );
      await assert.rejects(models.blockModel({ modelId: "none" }, asMaster), fails(Reason.NOT_FOUND, /none/));
      assert.equal((await models.deleteModel({ id: "m" }, asMaster)).message, "Model: m deleted successfully");
      await assert.rejects(models.deleteModel({ id: "m" }, asMaster), fails(Reason.NOT_FOUND, /m not found/));
    });

    test("updates at the same time lose nothing", async () => {
      const { models } = await start();
      await add(models, { model: "openai/a", api_key: key }, { id: "m" });
      const names = Array.from({ length: 8 }, (_, index) => `p${index}`);
      await Promise.all(
        names.map((name) => models.patchModel({ modelId: "m", litellmParams: json({ [name]: 1 }) }, asMaster)),
      );
      const { data } = await models.listModelInfo({}, asMaster);
      const params = parse(data[0]?.litellmParams);
      assert.deepEqual(
        names.filter((name) => params[name] !== 1),
        [],
      );
      assert.equal(parse(data[0]?.modelInfo).version, 9);
    });

    test("another router serves it as soon as it is told, and by itself where it heard nothing of it", async () => {
      const events = createInProcessBus(log);
      const [one, other, deaf] = [await start({ events }), await start({ events }), await start()];
      let announced = "";
      events.subscribe(DeploymentsChangedSchema, (event) => {
        announced = JSON.stringify(event, (_, value) => (typeof value === "bigint" ? String(value) : value));
      });
      await add(one.models, { model: "openai/a", api_key: key }, { id: "m" });
      // A second where nothing stalls, and two for a machine that does; by themselves they ask every five.
      await until(3000, async () => (await outcome(other, { model: "db" })) === "db retries=0 fallbacks=0");
      await until(30_000, async () => (await outcome(deaf, { model: "db" })) === "db retries=0 fallbacks=0");
      assert.match(announced, /revision/);
      assert.doesNotMatch(announced, /canary/);
      await other.models.deleteModel({ id: "m" }, asMaster);
      await until(3000, async () => (await outcome(one, { model: "db" })) === "MODEL_NOT_FOUND");
    });

    test("a team's admin adds models for the team, with a credential of its own, and only the team can call them", async () => {
      const stage = await start({
        env: { OPENAI_API_KEY: "sk-gateway" },
        yaml: "model_list: [{model_name: gpt, litellm_params: {model: openai/shared}}]",
      });
      const { models, adapter } = stage;
      const admin = as([Role.TEAM_ADMIN], { adminTeamIds: ["t1"], teamIds: ["t1"] });
      const own = { model: "openai/own", api_key: key };
      const info = { id: "m", team_id: "t1", team_public_model_name: "gpt" };
      const denied: [params: object, info: object, said: RegExp][] = [
        [own, { team_id: "t2" }, /may not do this/],
        [own, {}, /may not do this/],
        [{ model: "openai/own" }, info, /api_key of its own/],
        [{ ...own, model: "vertex_ai/own", vertex_credentials: "/etc/key.json" }, info, /more than a key/],
        [{ model: "openai/own", api_base: "http://elsewhere" }, info, /api_key of its own/],
        [{ ...own, api_base: "os.environ/X" }, info, /variables of the gateway/],
      ];
      for (const [params, facts, said] of denied) {
        await assert.rejects(add(models, params, facts, "x", admin), fails(Reason.PERMISSION_DENIED, said));
      }
      await assert.rejects(
        add(models, own, {}, "x", as([Role.INTERNAL_USER])),
        fails(Reason.PERMISSION_DENIED, /Only/),
      );
      await add(models, own, info, "internal-name", admin);
      const call = async (teamId: string) => {
        await outcome(stage, { model: "gpt", caller: { kind: CallerKind.VIRTUAL_KEY, teamId } });
        return adapter.requests.at(-1)?.target?.model;
      };
      assert.deepEqual([await call("t1"), await call("t2"), await call("")], ["own", "shared", "shared"]);
      const rights = [{ level: "team", models: ["other"] }];
      const restricted = (teamId: string) => ({ kind: CallerKind.VIRTUAL_KEY, teamId, rights });
      assert.equal(await outcome(stage, { model: "gpt", caller: restricted("t1") }), "gpt retries=0 fallbacks=0");
      assert.equal(await outcome(stage, { model: "gpt", caller: restricted("t2") }), "MODEL_ACCESS_DENIED");
      assert.equal(await outcome(stage, { model: "m", caller: { kind: CallerKind.VIRTUAL_KEY } }), "MODEL_NOT_FOUND");
      const callerModels = { levels: [{ level: "team", models: ["other"] }] };
      const listed = await models.listModels({ teamId: "t1", callerModels });
      assert.deepEqual(
        listed.models.map(({ id }) => id),
        ["gpt"],
      );
      const seen = async (options: typeof asMaster) =>
        (await models.listModelInfo({ callerModels: {} }, options)).data.map((each) => parse(each.modelInfo).id);
      assert.equal((await seen(as([], { teamIds: ["t1"] }))).includes("m"), true);
      assert.equal((await seen(as([], { teamIds: ["t2"] }))).includes("m"), false);
      const outsider = as([Role.TEAM_ADMIN], { adminTeamIds: ["t2"] });
      for (const id of ["m", "nothing"]) {
        await assert.rejects(models.deleteModel({ id }, outsider), fails(Reason.PERMISSION_DENIED, /may not do this/));
      }
      const taken = models.patchModel({ modelId: "m", modelInfo: json({ team_id: "t2" }) }, admin);
      await assert.rejects(taken, fails(Reason.PERMISSION_DENIED, /may not do this/));
      await models.patchModel({ modelId: "m", modelInfo: json({ access_groups: ["beta"] }) }, admin);
      const grouped = { kind: CallerKind.VIRTUAL_KEY, models: ["beta"] };
      assert.equal(await outcome(stage, { model: "gpt", caller: grouped }), "MODEL_ACCESS_DENIED");
      await models.deleteModel({ id: "m" }, admin);
    });

    test("lists: pages, search, sorting, and only what the caller may use", async () => {
      const { models } = await start();
      for (const name of ["alpha", "beta", "gamma", "al%ha"])
        await add(models, { model: "openai/gpt-4o", api_key: key }, { id: name }, name);
      const page = async (request: Parameters<typeof models.pageModelInfo>[0]) => {
        const answer = await models.pageModelInfo(request, asMaster);
        return [answer.data.map(({ modelName }) => modelName).join(), answer.totalCount, answer.totalPages];
      };
      assert.deepEqual(await page({ sortBy: "model_name", size: 3 }), ["al%ha,alpha,beta", 4, 2]);
      assert.deepEqual(await page({ sortBy: "model_name", sortOrder: "desc", size: 3, page: 2 }), ["al%ha", 4, 2]);
      assert.deepEqual(await page({ search: "AL%" }), ["al%ha", 1, 1]);
      assert.deepEqual(await page({ model: "beta" }), ["beta", 1, 1]);
      assert.deepEqual(await page({ modelId: "gamma" }), ["gamma", 1, 1]);
      assert.deepEqual(await page({ page: 9 }), ["", 4, 1]);
      await assert.rejects(
        models.pageModelInfo({ sortBy: "api_key" }, asMaster),
        fails(Reason.INVALID_REQUEST, /sortBy/),
      );
      await assert.rejects(models.pageModelInfo({ page: 0 }, asMaster), fails(Reason.INVALID_REQUEST, /page/));
      const names = async (levels: { level: string; models: string[] }[] | undefined) => {
        const { data } = await models.listModelInfo(levels === undefined ? {} : { callerModels: { levels } }, as([]));
        return data.map(({ modelName }) => modelName);
      };
      const both = [
        { level: "key", models: ["alpha", "beta"] },
        { level: "team", models: ["beta", "gamma"] },
      ];
      assert.deepEqual(await names(both), ["beta"]);
      assert.deepEqual(await names(undefined), []);
      const groups = await models.listModelGroups({ modelGroup: "alpha" }, asMaster);
      assert.deepEqual(
        groups.data.map(({ modelGroup, providers, inputCostPerToken }) => [modelGroup, providers, inputCostPerToken]),
        [["alpha", ["openai"], 0.0000025]],
      );
    });
  });
}

test("a database that is away keeps nobody from the models of the file, and is used once it is there", async () => {
  const url = databases.all[0]?.url;
  assert.ok(url);
  const database = await openDatabase({ url, ...routerSchema, log });
  await clearModels(database);
  const other = await startModelStage(url);
  await other.models.createModel(
    { modelName: "db", litellmParams: json({ model: "openai/a", api_key: key }), modelInfo: json({}) },
    asMaster,
  );
  let away = true;
  const stage = await startRouter({
    yaml: "model_list: [{model_name: file, litellm_params: {model: openai/x, api_key: k}}]",
    adapter: other.adapter,
    store: {
      events: createInProcessBus(log),
      open: async () => {
        if (away) throw new Error("connect ECONNREFUSED");
        return database;
      },
    },
  });
  assert.equal(await outcome(stage, { model: "file" }), "file retries=0 fallbacks=0");
  assert.equal(await outcome(stage, { model: "db" }), "MODEL_NOT_FOUND");
  const refused = stage.models.createModel({ modelName: "x", litellmParams: json({ model: "openai/a" }) }, asMaster);
  await assert.rejects(refused, fails(Reason.UNAVAILABLE, /not open yet/));
  away = false;
  await until(10_000, async () => (await outcome(stage, { model: "db" })) === "db retries=0 fallbacks=0");
  await clearModels(database);
  await stage.service.close();
  await other.close();
  await database.close();
});
