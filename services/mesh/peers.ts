import type { DescService } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import type { Logger } from "#chassis/log.ts";
import { Channel } from "#chassis/rpc/channel.ts";
import { createLocalClient } from "#chassis/rpc/local-client.ts";
import { createRemoteClient } from "#chassis/rpc/remote-client.ts";
import type { HostedService, ServiceName } from "#chassis/service.ts";
import type { Certificates } from "#chassis/tls/certificates.ts";
import type { Tracing } from "#chassis/tracing.ts";
import type { MeshConfig } from "./config.ts";
import { tracedClient, tracedService } from "./traced-calls.ts";

/** Gives each service the clients it is written against: a direct call where the peer is hosted here, else a channel. */
export class Peers {
  readonly #config: MeshConfig;
  readonly #log: Logger;
  readonly #hosted: HostedService[] = [];
  readonly #tracing: Tracing | undefined;
  readonly #certificates: Certificates | undefined;
  readonly #channels = new Map<ServiceName, Channel>();

  /**
   * `tracing`: absent where nothing is traced, and then nothing of it is in the way. `certificates`: absent where peers are
   * spoken to in clear text.
   */
  constructor(config: MeshConfig, log: Logger, tracing?: Tracing, certificates?: Certificates) {
    this.#config = config;
    this.#log = log;
    this.#tracing = tracing;
    this.#certificates = certificates;
  }

  /** Services are hosted in the order in which they need each other. */
  host<T extends HostedService>(service: T): T {
    const tracing = this.#tracing;
    const hosted =
      tracing === undefined ? service : tracedService(service, tracing, this.#config.tracing?.upstream === true);
    this.#hosted.push(hosted);
    return hosted;
  }

  get hosted(): readonly HostedService[] {
    return this.#hosted;
  }

  client<S extends DescService>(name: ServiceName, service: S): Client<S> {
    if (!this.#config.services.has(name)) {
      const client = createRemoteClient(service, this.#channel(name));
      return this.#tracing === undefined ? client : tracedClient(service, client, this.#tracing);
    }
    const implementations = this.#hosted.find((hosted) => hosted.name === name)?.implementations ?? [];
    const found = implementations.find((implementation) => implementation.service === service);
    if (found === undefined) throw new Error(`${name} does not implement ${service.typeName}`);
    return createLocalClient(service, found.implementation);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#channels.values()].map((channel) => channel.close()));
  }

  #channel(name: ServiceName): Channel {
    const known = this.#channels.get(name);
    if (known !== undefined) return known;
    const addresses = this.#config.addresses.get(name) ?? [];
    const { meshToken: token } = this.#config;
    const channel = new Channel({ addresses, token, certificates: this.#certificates, log: this.#log });
    this.#channels.set(name, channel);
    return channel;
  }
}
