import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { startGatewayProcess } from "../../test/harness/gateway-process.ts";
import { allDifferences, type Difference } from "../../test/recordings/difference.ts";
import { compareCases } from "./cases.ts";
import { configOf, deploymentsAt } from "./deployments.ts";
import { type Gateway, startLiteLlm } from "./litellm.ts";
import { type Observation, observe } from "./observation.ts";
import { type ComparedCall, report } from "./report.ts";
import { scriptCase } from "./scripted-upstream.ts";

/**
 * Sends the same requests through LiteLLM's proxy and through Sluice, with one configuration, to the same fake providers,
 * and prints where what reached the provider, or what the client got, differs. See README.md beside this file.
 */
const { values } = parseArgs({
  options: {
    litellm: { type: "string" },
    only: { type: "string" },
    case: { type: "string" },
    write: { type: "boolean", default: false },
    path: { type: "string", default: "/usr/local/bin:/usr/bin:/bin" },
  },
});
const { litellm: command } = values;
if (command === undefined) throw new Error("--litellm has to name LiteLLM's program, see infra/compare/README.md");

const folder = await mkdtemp(join(tmpdir(), "sluice-compare-"));
const upstream = await startFakeUpstream();
const deployments = deploymentsAt(upstream.url).filter(({ name }) => values.only === undefined || name === values.only);
const config = join(folder, "config.yaml");
await writeFile(config, configOf(deployments));
const gateways: Gateway[] = [];
try {
  gateways.push(await startSluice(), await startLiteLlm(command, config, values.path));
  const [sluice, litellm] = gateways;
  const calls: ComparedCall[] = [];
  for (const deployment of deployments) {
    for (const own of compareCases(`${upstream.url}/picture.png`)) {
      if (sluice === undefined || litellm === undefined) break;
      if (values.case !== undefined && !own.name.includes(values.case)) continue;
      scriptCase(upstream, deployment, own);
      const theirs = await observe(litellm, upstream, deployment, own);
      const ours = await observe(sluice, upstream, deployment, own);
      calls.push({ provider: deployment.name, name: own.name, differences: between(theirs, ours) });
    }
  }
  await report(calls, values.write);
} finally {
  for (const gateway of gateways) await gateway.stop();
  await upstream.close();
  await rm(folder, { recursive: true, force: true });
}

/** Where one gateway answers and the other refuses, that is the only difference to the client. */
function between(theirs: Observation, ours: Observation): Difference[] {
  const upstream = allDifferences(theirs.upstream, ours.upstream, "upstream");
  if ((theirs.client.status === 200) === (ours.client.status === 200)) {
    return [...upstream, ...allDifferences(theirs.client, ours.client, "client")];
  }
  const told = ({ client }: Observation) => (client.status === 200 ? "an answer" : client);
  const path = `client, ${theirs.client.status === 200 ? "Sluice" : "LiteLLM"} alone refuses`;
  const sent = [theirs, ours].every((own) => !Array.isArray(own.upstream));
  return [...(sent ? upstream : []), { path, theirs: told(theirs), ours: told(ours) }];
}

async function startSluice(): Promise<Gateway> {
  const key = "sk-compare-sluice";
  const gateway = await startGatewayProcess({
    entry: "services/main.ts",
    dataDir: join(folder, "sluice"),
    masterKey: key,
    env: { CONFIG_FILE_PATH: config, SLUICE_ALLOW_PRIVATE_MEDIA_URLS: "true" },
  });
  return { name: "sluice", url: gateway.url, key, stop: () => gateway.stop() };
}
