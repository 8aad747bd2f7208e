import type { TestDatabase } from "#chassis/testing/databases.ts";
import { type IdentityProvider, startIdentityProvider } from "#chassis/testing/identity-provider.ts";
import { parseYaml } from "#chassis/yaml-file.ts";
import { readTokenSettings } from "../tokens/config-file.ts";
import { type Setup, setUp } from "./auth-fixture.ts";

export interface TokenSetup extends Setup {
  readonly provider: IdentityProvider;
  /** Who a token is. */
  who(token: string, teamId?: string): ReturnType<typeof whoIs>;
}

/** Auth that accepts the tokens of a provider of its own. `jwtauth` is YAML, the fields of `litellm_jwtauth`. */
export async function setUpTokens(
  url: TestDatabase["url"],
  jwtauth: string,
  own: {
    readonly jwtauth?: (provider: IdentityProvider) => string;
    readonly general?: string;
    readonly env?: (provider: IdentityProvider) => Record<string, string>;
  } = {},
): Promise<TokenSetup> {
  const provider = await startIdentityProvider();
  const fields = (own.jwtauth?.(provider) ?? jwtauth)
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => `    ${line}\n`);
  const text = `general_settings:\n  enable_jwt_auth: true\n  litellm_jwtauth:\n${fields.join("")}${own.general ?? ""}`;
  const env = own.env?.(provider) ?? { JWT_ISSUER: provider.issuer, JWT_AUDIENCE: "urn:sluice" };
  const { tokens } = readTokenSettings(parseYaml(text, "config.yaml", {}), env);
  const setup = await setUp(url, true, true, { tokens });
  setup.clock.now = Date.now();
  return {
    ...setup,
    provider,
    who: (token, teamId) => whoIs(setup, token, teamId),
    async close() {
      await setup.close();
      await provider.stop();
    },
  };
}

async function whoIs({ auth }: Setup, token: string, teamId = "") {
  const { principal } = await auth.authenticateToken({ token, teamId });
  if (principal === undefined) throw new Error("no principal");
  return principal;
}
