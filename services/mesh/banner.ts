import type { MasterKey } from "./master-key.ts";

export interface BannerFacts {
  readonly port: number;
  readonly readyMs: number;
  readonly dataDir: string;
  /** What is there besides, in words. */
  readonly database: string;
  readonly masterKey: MasterKey;
  /** The services that are processes of their own; none in a single process. */
  readonly processes?: readonly ServiceProcess[];
}

export interface ServiceProcess {
  readonly name: string;
  readonly pid: number | undefined;
  readonly port: number | undefined;
}

/**
 * What a person reads when the gateway is up. The curl line works when pasted into the same shell; it comes last, so
 * that a program which waits for it has read the rest.
 */
export function banner(facts: BannerFacts): string {
  const url = `http://localhost:${facts.port}`;
  return `
Sluice is ready (${(facts.readyMs / 1000).toFixed(1)} s)

  Listening    ${url}
  Data         ${facts.dataDir} (${facts.database})
  Master key   ${describeKey(facts.masterKey)}
${describeProcesses(facts.processes ?? [])}
Try it:

  curl ${url}/v1/chat/completions \\
    -H "Authorization: Bearer ${bearer(facts.masterKey)}" \\
    -H "Content-Type: application/json" \\
    -d '{"model":"mock/echo","messages":[{"role":"user","content":"Hello!"}]}'

`;
}

function describeProcesses(processes: readonly ServiceProcess[]): string {
  const lines = processes.map(({ name, pid, port }) => `  ${name.padEnd(17)} pid ${pid}, port ${port}\n`);
  return lines.length === 0 ? "" : `\n${lines.join("")}`;
}

function describeKey({ key, origin, place }: MasterKey): string {
  switch (origin) {
    case "generated":
      return `${key.reveal()} (new; kept in ${place}, not printed again)`;
    case "stored":
      return `in ${place}`;
    case "environment":
      return `from ${place}`;
    case "config":
      return `from ${place} of the configuration file`;
  }
}

function bearer({ key, origin, place }: MasterKey): string {
  switch (origin) {
    case "generated":
      return key.reveal();
    case "stored":
      return `$(cat '${place}')`;
    case "environment":
      return `$${place}`;
    case "config":
      return "<general_settings.master_key>";
  }
}
