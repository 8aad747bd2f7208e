import { Secret } from "#chassis/secret.ts";
import type { ProviderCall } from "./provider.ts";
import { parseObject, textOf } from "./translate/json-reading.ts";

/** Who asks Microsoft Entra ID for a token, and by what. */
export interface AzureIdentity {
  /**
   * `secret`: an application with its secret; `password`: a user of an application; `workload`: an application with a
   * token that lies in a file, as Kubernetes puts it there; `managed`: the machine's own identity; `default`: whatever
   * the machine offers.
   */
  readonly kind: "secret" | "password" | "workload" | "managed" | "default";
  /** Empty where it is not given. */
  readonly tenantId: string;
  readonly clientId: string;
  readonly username: string;
  /** The application's secret or the user's password. */
  readonly secret: Secret;
  readonly tokenFile: string;
  readonly scope: string;
  /** Empty for Microsoft's public cloud. */
  readonly authorityHost: string;
}

const defaultScope = "https://cognitiveservices.azure.com/.default";

/** Names of the credentials of Microsoft's libraries, as LiteLLM's users write them. */
const named: Readonly<Record<string, AzureIdentity["kind"]>> = {
  default: "default",
  defaultazurecredential: "default",
  managed_identity: "managed",
  managedidentitycredential: "managed",
};

/**
 * The identity that a call's settings and secrets tell of, under LiteLLM's names; undefined where they tell of none, or of
 * one by half.
 */
export function readAzureIdentity({ settings, credential }: ProviderCall): AzureIdentity | undefined {
  const secrets = parseObject(credential?.reveal() ?? "") ?? {};
  const secretOf = (name: string) => textOf(secrets[name]).trim();
  const settingOf = (name: string) => (settings[name] ?? "").trim();
  const tenantId = settingOf("tenant_id");
  const clientId = settingOf("client_id");
  const username = settingOf("azure_username");
  const tokenFile = tokenFileOf(secretOf("azure_ad_token")) || settingOf("azure_federated_token_file");
  const clientSecret = secretOf("client_secret");
  const password = secretOf("azure_password");
  const kind = kindOf({
    secret: tenantId !== "" && clientId !== "" && clientSecret !== "",
    password: clientId !== "" && username !== "" && password !== "",
    workload: tenantId !== "" && clientId !== "" && tokenFile !== "",
    name: settingOf("azure_credential").toLowerCase(),
  });
  if (kind === undefined) return undefined;
  return {
    kind,
    tenantId,
    clientId,
    username,
    secret: new Secret(kind === "password" ? password : clientSecret),
    tokenFile,
    scope: settingOf("azure_scope") || defaultScope,
    authorityHost: settingOf("azure_authority_host"),
  };
}

interface Complete {
  readonly secret: boolean;
  readonly password: boolean;
  readonly workload: boolean;
  readonly name: string;
}

function kindOf({ secret, password, workload, name }: Complete): AzureIdentity["kind"] | undefined {
  if (secret) return "secret";
  if (password) return "password";
  if (workload) return "workload";
  return Object.hasOwn(named, name) ? named[name] : undefined;
}

/** LiteLLM's `oidc/file/<path>` in place of a token. */
function tokenFileOf(token: string): string {
  return /^oidc\/file\/(.+)$/.exec(token)?.[1] ?? "";
}
