import { hash, randomUUID } from "node:crypto";
import { join } from "node:path";
import type { Logger } from "#chassis/log.ts";
import type { Telemetry } from "#chassis/telemetry.ts";
import type { Certificates } from "#chassis/tls/certificates.ts";
import { readAuthorities } from "#chassis/tls/public-trust.ts";
import type { Tracing } from "#chassis/tracing.ts";
import { QuotaService } from "#gen/sluice/accounting/v1/quota_service_pb.ts";
import { SpendService } from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import { LoginService } from "#gen/sluice/auth/v1/login_service_pb.ts";
import { InferenceService } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { RequestService } from "#gen/sluice/inference/v1/request_service_pb.ts";
import { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import { readEnv as readAccountingEnv } from "../accounting/config.ts";
import { accountingSchema } from "../accounting/db/schema.ts";
import { createAccountingService } from "../accounting/service.ts";
import { readEnv as readAuthEnv } from "../auth/config.ts";
import { readKeyPolicy } from "../auth/config-file.ts";
import { readLoginSettings } from "../auth/login/settings.ts";
import { createAuthService } from "../auth/service.ts";
import { readTenancyRules } from "../auth/tenancy-rules.ts";
import { readTokenSettings } from "../auth/tokens/config-file.ts";
import { readEdgeConfig } from "../edge/config.ts";
import { readTokenUse } from "../edge/config-file.ts";
import { bindRest } from "../edge/rest/rest-binding.ts";
import { createEdgeService, type EdgeService } from "../edge/service.ts";
import { readEnv as readAdapterEnv } from "../provider-adapter/config.ts";
import { createProviderAdapterService } from "../provider-adapter/service.ts";
import { createAdmitter } from "../router/admission/admitter.ts";
import { readAdmissionEnv } from "../router/admission/config.ts";
import { routerSchema } from "../router/db/schema.ts";
import type { LoadedConfig } from "../router/models/live-models.ts";
import { createRouterService, type RouterService } from "../router/service.ts";
import { adminServices } from "./admin-services.ts";
import type { MeshConfig } from "./config.ts";
import type { ConfigFile } from "./config-file.ts";
import type { ProcessHealth } from "./health.ts";
import { keeperOf, type MasterKey } from "./master-key.ts";
import type { Peers } from "./peers.ts";
import type { State } from "./state.ts";
import { openTrust, type Trust } from "./trust.ts";
import { version } from "./version.ts";

/** What the steps of a start hand on. */
export interface Start {
  readonly file: ConfigFile;
  /** What the file says about routing. */
  readonly routing: LoadedConfig;
  /** Reads the file again. Rejects with a ConfigurationError where it is no good. */
  readonly readRouting: () => Promise<LoadedConfig>;
  readonly config: MeshConfig;
  readonly log: Logger;
  readonly telemetry: Telemetry;
  /** Undefined where nothing is traced. */
  readonly tracing: Tracing | undefined;
  readonly state: State;
  readonly peers: Peers;
  readonly health: ProcessHealth;
  readonly masterKey: MasterKey | undefined;
  /** Aborted when the process stops. */
  readonly stopping: AbortController;
  /** Undefined where peers are spoken to in clear text. */
  readonly certificates: Certificates | undefined;
}

/** What the rest of the process needs of the services that it hosts. */
export interface Hosted {
  readonly edge: EdgeService | undefined;
  readonly router: RouterService | undefined;
}

/** Hosts what is to be hosted, each after the services it calls. */
export async function hostServices(start: Start): Promise<Hosted> {
  const { services } = start.config;
  const trust = await openTrust(start);
  if (services.has("accounting")) await hostAccounting(start);
  if (services.has("auth")) await hostAuth(start, trust);
  if (services.has("provider-adapter")) hostAdapter(start, trust);
  const router = services.has("router") ? await hostRouter(start, trust) : undefined;
  return { router, edge: services.has("edge") ? hostEdge(start) : undefined };
}

async function hostAccounting({ file, config, log, telemetry, state, peers }: Start): Promise<void> {
  const database = await state.database(accountingSchema);
  const besideCalls = config.services.has("router");
  const service = await createAccountingService({
    database,
    events: state.events,
    log: log.with({ service: "accounting" }),
    meter: telemetry.meter("accounting"),
    clock: Date.now,
    config: readAccountingEnv(file.env),
    thread: besideCalls
      ? { ...(await state.databaseAddress()), authorities: readAuthorities(file.env), logLevel: config.logLevel }
      : undefined,
  });
  peers.host(service);
}

async function hostAuth(start: Start, { authDatabase, keyring }: Trust): Promise<void> {
  if (authDatabase === undefined || keyring === undefined) throw new Error("auth needs its database and the keyring");
  const { file, log, telemetry, state, peers, masterKey } = start;
  const { policy, warnings } = readKeyPolicy(file.document);
  const tenancy = readTenancyRules(file.document);
  const { tokens, warnings: tokenWarnings } = readTokenSettings(file.document, file.env);
  for (const warning of [...warnings, ...tenancy.warnings, ...tokenWarnings]) log.warn(warning);
  const service = createAuthService({
    database: authDatabase,
    events: state.events,
    spend: peers.client("accounting", SpendService),
    masterKey: masterKey && { hash: hash("sha256", masterKey.key.reveal(), "hex"), keep: keeperOf(masterKey) },
    keyring,
    config: readAuthEnv(file.env, {
      keyPolicy: policy,
      tenancyRules: tenancy.rules,
      tokens,
      login: readLoginSettings(file.env, file.document),
    }),
    log: log.with({ service: "auth" }),
    meter: telemetry.meter("auth"),
    clock: Date.now,
  });
  peers.host(service);
}

function hostAdapter(start: Start, { keyring }: Trust): void {
  if (keyring === undefined) throw new Error("the provider-adapter needs the keyring");
  const { file, log, telemetry, peers } = start;
  const service = createProviderAdapterService({
    config: readAdapterEnv(file.env),
    sealer: keyring,
    log: log.with({ service: "provider-adapter" }),
    meter: telemetry.meter("provider-adapter"),
  });
  peers.host(service);
}

async function hostRouter(start: Start, { keyring }: Trust): Promise<RouterService> {
  if (keyring === undefined) throw new Error("the router needs the keyring");
  const { file, config, log, telemetry, state, peers, routing } = start;
  for (const warning of routing.warnings) log.warn(warning);
  const own = log.with({ service: "router" });
  const meter = telemetry.meter("router");
  const admitter = await createAdmitter({
    journalDir: join(config.dataDir, "journal"),
    owner: randomUUID(),
    quota: peers.client("accounting", QuotaService),
    events: state.events,
    log: own,
    meter,
    clock: Date.now,
    config: readAdmissionEnv(file.env),
  });
  const service = await createRouterService({
    source: { initial: routing, load: start.readRouting },
    store: {
      open: state.hasDatabase ? () => state.databaseNow(routerSchema) : undefined,
      events: state.events,
    },
    adapter: {
      inference: peers.client("provider-adapter", InferenceService),
      requests: peers.client("provider-adapter", RequestService),
    },
    admitter,
    keyring,
    log: own,
    meter,
  });
  return peers.host(service);
}

function hostEdge({ file, log, telemetry, state, peers, health }: Start): EdgeService {
  const service = createEdgeService({
    clients: {
      auth: peers.client("auth", AuthService),
      inference: peers.client("router", InferenceService),
      models: peers.client("router", ModelService),
      requests: peers.client("router", RequestService),
      login: peers.client("auth", LoginService),
      rest: adminServices.map(({ owner, service }) => bindRest(service, peers.client(owner, service))),
    },
    events: state.events,
    config: readEdgeConfig(file.env, version, readTokenUse(file.document)),
    log: log.with({ service: "edge" }),
    meter: telemetry.meter("edge"),
    metrics: () => telemetry.scrape(),
    health: health.report,
    now: Date.now,
  });
  return peers.host(service);
}
