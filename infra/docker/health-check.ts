import { readMeshConfig } from "../../services/mesh/config.ts";

/** Exit code 0 where the process of this container answers on its port; for engines that have no probes of their own. */
const { services, http, rpc, probe } = readMeshConfig(process.env);
const port = services.has("edge") ? http.port : (probe ?? rpc)?.port;
const response = await fetch(`http://127.0.0.1:${port}/health/liveliness`, { signal: AbortSignal.timeout(4000) });
process.exitCode = response.ok ? 0 : 1;
