import { create } from "@bufbuild/protobuf";
import { TargetSchema } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Provider } from "../provider.ts";
import { createProviderLookup } from "../provider-lookup.ts";
import { providerSources } from "../providers/index.ts";

/** Every provider there is, by id, its code loaded, as calls find it. */
export async function everyProvider(): Promise<ReadonlyMap<string, Provider>> {
  const sources = providerSources();
  const lookup = createProviderLookup(sources);
  const providers = new Map<string, Provider>();
  for (const id of sources.keys()) {
    const provider = await lookup.find(create(TargetSchema, { provider: id }));
    if (provider !== undefined) providers.set(id, provider);
  }
  return providers;
}
