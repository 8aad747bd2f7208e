import type { HostedService } from "#chassis/service.ts";
import { createAuthorizers } from "./authorize.ts";
import type { AdapterContext } from "./context.ts";
import { createCredentialOpener } from "./credentials.ts";
import { createAdapterEvents } from "./events.ts";
import { createMediaFetcher } from "./media/media-fetcher.ts";
import { createProviderLookup } from "./provider-lookup.ts";
import { providerSources } from "./providers/index.ts";
import { createPeerPool } from "./relay/peer-pool.ts";
import { routes } from "./routes/index.ts";
import { createUpstream } from "./upstream.ts";

/** The service that speaks to providers. It stores nothing; closing it waits for the calls in flight. */
export function createProviderAdapterService(context: AdapterContext): HostedService {
  const upstream = createUpstream(context.config);
  const media = createMediaFetcher(context.config);
  const peers = createPeerPool(context.config);
  return {
    name: "provider-adapter",
    implementations: routes({
      config: context.config,
      providers: createProviderLookup(context.providers ?? providerSources()),
      openCredential: createCredentialOpener(context.sealer),
      upstream,
      authorizers: createAuthorizers(Date.now),
      events: createAdapterEvents(context.meter, context.log),
      media,
      peers,
    }),
    async close() {
      await Promise.all([upstream.close(), media.close(), peers.close()]);
    },
  };
}
