import type { MasterKey } from "./master-key.ts";

export interface BannerFacts {
  readonly port: number;
  readonly readyMs: number;
  readonly dataDir: string;
  /** What is there besides, in words. */
  readonly database: string;
  readonly masterKey: MasterKey;
}

/** What a person reads when the gateway is up. The curl line works when pasted into the same shell. */
export function banner(facts: BannerFacts): string {
  const url = `http://localhost:${facts.port}`;
  return `
Sluice is ready (${(facts.readyMs / 1000).toFixed(1)} s)

  Listening    ${url}
  Data         ${facts.dataDir} (${facts.database})
  Master key   ${describeKey(facts.masterKey)}

Try it:

  curl ${url}/v1/chat/completions \\
    -H "Authorization: Bearer ${bearer(facts.masterKey)}" \\
    -H "Content-Type: application/json" \\
    -d '{"model":"mock/echo","messages":[{"role":"user","content":"Hello!"}]}'

`;
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
