import assert from "node:assert/strict";
import { after, afterEach, describe, test } from "node:test";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { ConfigService } from "#gen/sluice/router/v1/config_service_pb.ts";
import { CredentialService } from "#gen/sluice/router/v1/credential_service_pb.ts";
import { ModelAccessGroupService } from "#gen/sluice/router/v1/model_access_group_service_pb.ts";
import { ModelHealthService } from "#gen/sluice/router/v1/model_health_service_pb.ts";
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
import { outcome } from "./testing/router-harness.ts";
import { answer, fail } from "./testing/scripted-adapter.ts";

const key = "sk-canary-0123456789-wxyz";
const masked = "sk-c****wxyz";
const databases = await startTestDatabases();
const stages: ModelStage[] = [];
after(() => databases.stop());

for (const { name: kind, url } of databases.all) {
  const start = async (options: ModelStageOptions = {}) => {
    const stage = await startModelStage(url, options);
    stages.push(stage);
    return stage;
  };
  const add = ({ models }: ModelStage, modelName: string, params: object, info: object = {}) =>
    models.createModel({ modelName, litellmParams: json(params), modelInfo: json(info) }, asMaster);
  const credentialOf = ({ adapter, sealer }: ModelStage) =>
    sealer.open(adapter.requests.at(-1)?.target?.sealedCredential ?? new Uint8Array()).reveal();

  describe(`credentials, groups, health and the file (${kind})`, () => {
    afterEach(async () => {
      for (const [index, stage] of stages.splice(0).entries()) {
        if (index === 0) await clearModels(stage.database);
        await stage.close();
      }
    });

    test("a named credential fills what its deployments do not say, and a change of it reaches them", async () => {
      const yaml = `
model_list: [{model_name: file, litellm_params: {model: openai/x, litellm_credential_name: shared}}]
credential_list: [{credential_name: of-file, credential_values: {api_key: ${key}}, credential_info: {description: d}}]`;
      const stage = await start({ yaml, env: { OPENAI_API_KEY: "sk-of-the-environment" } });
      const credentials = stage.client(CredentialService);
      assert.equal(await outcome(stage, { model: "file" }), "MODEL_NOT_FOUND");
      const values = { api_key: key, api_base: "https://one.example/v1", vertex_credentials: { private: key } };
      await credentials.createCredential(
        {
          credentialName: "shared",
          credentialValues: json(values),
          credentialInfo: json({ custom_llm_provider: "openai" }),
        },
        asMaster,
      );
      await add(stage, "db", { model: "openai/y", litellm_credential_name: "shared" });
      for (const model of ["file", "db"]) {
        assert.equal(await outcome(stage, { model }), `${model} retries=0 fallbacks=0`);
        assert.equal(credentialOf(stage), key);
        assert.equal(stage.adapter.requests.at(-1)?.target?.baseUrl, "https://one.example/v1");
      }
      const { credentials: listed, success } = await credentials.listCredentials({}, asMaster);
      assert.equal(success, true);
      assert.deepEqual(
        listed.map(({ credentialName }) => credentialName),
        ["of-file", "shared"],
      );
      assert.deepEqual(parse(listed[1]?.credentialValues), {
        api_key: masked,
        api_base: "https://one.example/v1",
        vertex_credentials: '{"pr****yz"}',
      });
      assert.deepEqual(parse(listed[1]?.credentialInfo), { custom_llm_provider: "openai" });
      const rows = await stage.database.em().execute("select * from router.credential");
      assert.doesNotMatch(Buffer.from(rows[0]?.sealed_values).toString("latin1"), /canary/);

      await credentials.updateCredential(
        {
          credentialName: "shared",
          credentialValues: json({ api_key: "sk-second-key-9876543210", api_base: null, vertex_credentials: null }),
        },
        asMaster,
      );
      assert.equal(await outcome(stage, { model: "file" }), "file retries=0 fallbacks=0");
      assert.equal(credentialOf(stage), "sk-second-key-9876543210");
      assert.equal(stage.adapter.requests.at(-1)?.target?.baseUrl, "");
      const { credential } = await credentials.getCredential({ credentialName: "shared" }, asMaster);
      assert.deepEqual(parse(credential?.credentialValues), { api_key: "sk-s****3210" });
      await credentials.updateCredential(
        { credentialName: "shared", credentialValues: credential?.credentialValues ?? json({}) },
        asMaster,
      );
      await outcome(stage, { model: "db" });
      assert.equal(credentialOf(stage), "sk-second-key-9876543210");

      await credentials.deleteCredential({ credentialName: "shared" }, asMaster);
      assert.equal(await outcome(stage, { model: "db" }), "MODEL_NOT_FOUND");
    });

    test("credentials: what is refused, and those of a model", async () => {
      const yaml = "credential_list: [{credential_name: of-file, credential_values: {api_key: k}}]";
      const stage = await start({ yaml });
      const credentials = stage.client(CredentialService);
      const make = (credentialName: string, values: object, modelId?: string) =>
        credentials.createCredential({ credentialName, credentialValues: json(values), modelId }, asMaster);
      await assert.rejects(make("x", {}), fails(Reason.INVALID_REQUEST, /at least one/, "credential_values"));
      await assert.rejects(make("x", { api_base: "ftp://x" }), fails(Reason.INVALID_REQUEST, /http/, "api_base"));
      await assert.rejects(make("x", { api_key: 1 }), fails(Reason.INVALID_REQUEST, /text/, "api_key"));
      await assert.rejects(make("x", {}, "none"), fails(Reason.NOT_FOUND, /Model/));
      await add(stage, "m", { model: "openai/y", api_key: key, api_base: "https://one.example", rpm: 1 }, { id: "m" });
      const { credential } = await credentials.getModelCredential({ modelId: "m" }, asMaster);
      assert.deepEqual(parse(credential?.credentialValues), { api_key: masked, api_base: "https://one.example" });
      await make("copied", {}, "m");
      await assert.rejects(make("copied", { api_key: "k" }), fails(Reason.CONFLICT, /exists already/));
      await add(stage, "n", { model: "openai/z", litellm_credential_name: "copied" });
      await outcome(stage, { model: "n" });
      assert.equal(credentialOf(stage), key);
      const gone = { credentialName: "none" };
      await assert.rejects(credentials.getCredential(gone, asMaster), fails(Reason.NOT_FOUND, /not found/));
      await assert.rejects(credentials.deleteCredential(gone, asMaster), fails(Reason.NOT_FOUND, /not found/));
      const ofFile = credentials.deleteCredential({ credentialName: "of-file" }, asMaster);
      await assert.rejects(ofFile, fails(Reason.INVALID_REQUEST, /configuration file/));
      for (const roles of [[Role.INTERNAL_USER], [Role.TEAM_ADMIN], []]) {
        await assert.rejects(credentials.listCredentials({}, as(roles)), fails(Reason.PERMISSION_DENIED, /Only/));
      }
      await credentials.listCredentials({}, as([Role.PROXY_ADMIN_VIEWER]));
    });

    test("a model access group stands for its models in a key's list", async () => {
      const yaml =
        "model_list: [{model_name: file, litellm_params: {model: openai/f, api_key: k}, model_info: {access_groups: [beta]}}]";
      const stage = await start({ yaml });
      const groups = stage.client(ModelAccessGroupService);
      for (const name of ["a", "b"])
        await add(stage, name, { model: `openai/${name}`, api_key: key }, { id: `id-${name}` });
      const made = await groups.createModelAccessGroup({ accessGroup: "prod", modelNames: ["a"] }, asMaster);
      assert.deepEqual([made.modelsUpdated, made.modelNames], [1, ["a"]]);
      const call = (model: string, ...models: string[]) =>
        outcome(stage, { model, caller: { kind: CallerKind.VIRTUAL_KEY, models } });
      assert.equal(await call("a", "prod"), "a retries=0 fallbacks=0");
      assert.equal(await call("file", "beta"), "file retries=0 fallbacks=0");
      assert.equal(await call("b", "prod"), "MODEL_ACCESS_DENIED");
      const list = async (options: object) =>
        (
          await stage.models.listModels({ callerModels: { levels: [{ level: "key", models: ["prod"] }] }, ...options })
        ).models.map(({ id }) => id);
      assert.deepEqual(await list({}), ["a"]);
      assert.deepEqual(await list({ includeModelAccessGroups: true }), ["a", "prod"]);
      assert.deepEqual(await list({ onlyModelAccessGroups: true }), ["prod"]);
      const update = { accessGroup: "prod", modelIds: ["id-b"] };
      assert.equal((await groups.updateModelAccessGroup(update, asMaster)).modelsUpdated, 1);
      assert.deepEqual(
        [await call("a", "prod"), await call("b", "prod")],
        ["MODEL_ACCESS_DENIED", "b retries=0 fallbacks=0"],
      );
      const { accessGroups } = await groups.listModelAccessGroups({}, asMaster);
      assert.deepEqual(
        accessGroups.map(({ accessGroup, modelNames, deploymentCount }) => [accessGroup, modelNames, deploymentCount]),
        [
          ["beta", ["file"], 1],
          ["prod", ["b"], 1],
        ],
      );
      const refused: [request: () => Promise<unknown>, check: ReturnType<typeof fails>][] = [
        [
          () => groups.createModelAccessGroup({ accessGroup: "prod", modelNames: ["a"] }, asMaster),
          fails(Reason.CONFLICT, /already exists/),
        ],
        [
          () => groups.createModelAccessGroup({ accessGroup: "x", modelNames: ["none"] }, asMaster),
          fails(Reason.INVALID_REQUEST, /none/),
        ],
        [
          () => groups.createModelAccessGroup({ accessGroup: "x" }, asMaster),
          fails(Reason.INVALID_REQUEST, /Name the models/),
        ],
        [() => groups.getModelAccessGroup({ accessGroup: "none" }, asMaster), fails(Reason.NOT_FOUND, /none/)],
        [() => groups.deleteModelAccessGroup({ accessGroup: "none" }, asMaster), fails(Reason.NOT_FOUND, /none/)],
      ];
      for (const [request, check] of refused) await assert.rejects(request, check);
      assert.equal((await groups.deleteModelAccessGroup({ accessGroup: "prod" }, asMaster)).modelsUpdated, 1);
      assert.equal(await call("b", "prod"), "MODEL_ACCESS_DENIED");
    });

    test("health: every deployment is asked, the answers are kept, and a connection can be tried before", async () => {
      const yaml = `
model_list:
  - {model_name: well, litellm_params: {model: openai/well, api_key: ${key}}, model_info: {id: w}}
  - {model_name: ill, litellm_params: {model: openai/ill, api_key: ${key}}, model_info: {id: i}}
  - {model_name: slow, litellm_params: {model: openai/slow, api_key: ${key}}, model_info: {id: s, health_check_timeout: 0.05}}
  - {model_name: vectors, litellm_params: {model: openai/v, api_key: ${key}}, model_info: {id: v, mode: embedding}}
  - {model_name: "any/*", litellm_params: {model: "openai/*", api_key: ${key}}, model_info: {id: p, health_check_model: openai/well}}
  - {model_name: bare, litellm_params: {model: openai/b, api_key: os.environ/NOT_SET}, model_info: {id: b}}
`;
      const stage = await start({ yaml, script: { ill: [fail(401)], slow: [{ kind: "hang" }] } });
      const health = stage.client(ModelHealthService);
      const all = await health.checkModelHealth({}, asMaster);
      assert.deepEqual([all.healthyCount, all.unhealthyCount], [3, 3]);
      const errors = new Map(all.unhealthyEndpoints.map((each) => [parse(each).model_id, parse(each).error]));
      assert.deepEqual(
        [errors.get("i"), errors.get("s"), errors.get("b")],
        ["status 401", "no answer within 0.05 seconds", "NOT_SET is not set"],
      );
      assert.deepEqual(parse(all.healthyEndpoints.find((each) => parse(each).model_id === "w")), {
        model: "openai/well",
        api_key: masked,
        model_id: "w",
      });
      const asked = stage.adapter.requests.map(({ target, body }) => [target?.deployment, parse(body)] as const);
      assert.deepEqual(asked.find(([id]) => id === "v")?.[1], { model: "v", input: ["Hi"] });
      assert.equal(asked.find(([id]) => id === "p")?.[1].model, "well");
      assert.equal(stage.admitter.requests.length, 0);
      const one = await health.checkModelHealth({ model: "openai/ill" }, asMaster);
      assert.deepEqual([one.healthyCount, one.unhealthyCount], [0, 1]);
      await assert.rejects(health.checkModelHealth({ modelId: "none" }, asMaster), fails(Reason.NOT_FOUND, /none/));
      const { latestHealthChecks, totalModels } = await health.getLatestModelHealth({}, asMaster);
      assert.equal(totalModels, 6);
      assert.deepEqual([latestHealthChecks.w?.status, latestHealthChecks.i?.errorMessage], ["healthy", "status 401"]);
      const history = await health.listModelHealth({ model: "ill", statusFilter: "unhealthy", limit: 1 }, asMaster);
      assert.deepEqual([history.totalRecords, history.healthChecks.length, history.limit], [2, 1, 1]);
      const group = await stage.models.listModelGroups({ modelGroup: "well" }, asMaster);
      assert.equal(group.data[0]?.healthStatus, "healthy");

      const attempt = async (params: object, mode?: string) => {
        const { status, result } = await health.testModelConnection({ litellmParams: json(params), mode }, asMaster);
        return [status, parse(result).error];
      };
      assert.deepEqual(await attempt({ model: "openai/new", api_key: "sk-other" }), ["success", undefined]);
      assert.deepEqual(await attempt({ model: "ill" }), ["error", "status 401"]);
      assert.deepEqual(await attempt({ model: "openai/well", temperature: 1 }), ["success", undefined]);
      assert.equal(credentialOf(stage), key);
      assert.deepEqual(await attempt({ model: "well" }, "image_generation"), [
        "error",
        "the mode 'image_generation' cannot be checked yet",
      ]);
      await attempt({ model: "well", api_base: "https://elsewhere.example" });
      assert.notEqual(
        stage.adapter.requests.at(-1)?.target?.baseUrl === "https://elsewhere.example" && hasCredential(stage),
        true,
      );
    });

    test("background checks: one router of all asks, and all know the answer", async () => {
      const yaml = `
model_list:
  - {model_name: m, litellm_params: {model: openai/m, api_key: k}, model_info: {id: m}}
  - {model_name: n, litellm_params: {model: openai/n, api_key: k}, model_info: {id: n, disable_background_health_check: true}}
general_settings: {background_health_checks: true, health_check_interval: 600, health_check_details: false}
`;
      const pair = [await start({ yaml, script: { m: [answer()] } }), await start({ yaml })];
      const asked = () => pair.flatMap(({ adapter }) => adapter.requests.map(({ target }) => target?.model));
      for (const { client } of pair) {
        await until(
          10_000,
          async () => (await client(ModelHealthService).checkModelHealth({}, asMaster)).healthyCount === 1,
        );
        const { healthyEndpoints } = await client(ModelHealthService).checkModelHealth({}, asMaster);
        assert.deepEqual(healthyEndpoints.map(parse), [{ model: "openai/m", model_id: "m" }]);
      }
      assert.deepEqual(asked(), ["m"]);
    });

    test("the file is read again as a whole or not at all, and models of the database stay", async () => {
      const stage = await start({
        yaml: "model_list: [{model_name: one, litellm_params: {model: openai/one, api_key: k}}]",
      });
      const config = stage.client(ConfigService);
      await add(stage, "db", { model: "openai/db", api_key: key });
      const served = async () => {
        const names = [];
        for (const model of ["one", "two", "db"])
          if ((await outcome(stage, { model })).startsWith(model)) names.push(model);
        return names.join();
      };
      assert.equal(await served(), "one,db");
      stage.file.yaml = "model_list: [{model_name: two, litellm_params: {model: openai/two, rpm: many}}]";
      await assert.rejects(
        config.reloadConfig({}, asMaster),
        fails(Reason.INVALID_REQUEST, /config.yaml:1.*rpm: expected a positive integer/),
      );
      assert.equal(await served(), "one,db");
      stage.file.yaml =
        "{model_list: [{model_name: two, litellm_params: {model: openai/two, api_key: k}}], router_settings: {redis_host: x}}";
      const { models, warnings } = await config.reloadConfig({}, asMaster);
      assert.deepEqual([models, warnings], [1, ["router_settings.redis_host is not built yet and has no effect"]]);
      assert.equal(await served(), "two,db");
      await assert.rejects(
        config.reloadConfig({}, as([Role.PROXY_ADMIN_VIEWER])),
        fails(Reason.PERMISSION_DENIED, /Only/),
      );
    });
  });
}

function hasCredential({ adapter }: ModelStage): boolean {
  return (adapter.requests.at(-1)?.target?.sealedCredential.length ?? 0) > 0;
}
