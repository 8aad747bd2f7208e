import { catalog } from "#catalog/catalog.ts";
import { describeProvider } from "#catalog/provider-description.ts";
import type { HttpCall } from "../http-call.ts";

/**
 * The providers that this release knows, sorted by id, with what each can do and what has to be set for it. LiteLLM's
 * answer to the same path is the ids alone. Providers of the configuration are not told to the public.
 */
export function listProviders() {
  const providers = catalog.map(describeProvider).sort((a, b) => (a.id < b.id ? -1 : 1));
  const body = JSON.stringify(providers);
  return (call: HttpCall): void => call.send(200, "application/json", body);
}
