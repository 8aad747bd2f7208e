import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { JetStreamApiError, jetstream, jetstreamManager, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import { connect, headers, type NatsConnection, type Subscription } from "@nats-io/transport-node";
import { errorText, type Logger } from "../log.ts";
import type { Secret } from "../secret.ts";
import { encodeMessage } from "../wire/message-writer.ts";
import { WireWriter } from "../wire/wire-writer.ts";
import type { DurableHandler, EventBus, Unsubscribe } from "./bus.ts";
import { packEvents, packHeader } from "./event-pack.ts";
import { consumeDurable, streamName } from "./nats-consumer.ts";

export interface NatsOptions {
  /** `nats://host:port`, several separated by commas. */
  readonly url: string;
  readonly token: Secret | undefined;
  /** How many servers of a cluster keep a durable event, at least: a larger number is never lowered. Default 1. */
  readonly replicas?: number;
  /** Shown in the server's connection list. */
  readonly name: string;
  readonly log: Logger;
}

const retryMs = 1000;
/** What JetStream says where a stream was made with other settings, as before the number of replicas was raised. */
const otherConfiguration = 10_058;
/** What a server that stays down may cost in disk once it is back: a week of unconsumed events. */
const maxAgeNanos = 7 * 24 * 3600 * 1e9;

/**
 * The bus over NATS: broadcasts are core subjects, durable events a JetStream work queue per message type. It connects in
 * the background and reconnects for ever, so that a service starts and serves while NATS is down.
 */
export class NatsBus implements EventBus {
  readonly #log: Logger;
  readonly #replicas: number;
  readonly #closing = new AbortController();
  readonly #wire = new WireWriter();
  readonly #broadcasts = new Set<Broadcast>();
  readonly #streams = new Set<string>();
  readonly #connecting: Promise<NatsConnection | undefined>;
  #connection: NatsConnection | undefined;
  #live = false;

  constructor(options: NatsOptions) {
    this.#log = options.log;
    this.#replicas = options.replicas ?? 1;
    this.#connecting = connectForever(options, this.#closing.signal, (connection) => this.#attach(connection));
  }

  get connected(): boolean {
    return this.#live && this.#connection?.isClosed() === false;
  }

  publish<S extends DescMessage>(schema: S, message: MessageShape<S>): void {
    try {
      if (this.#connection?.isClosed() === false) {
        this.#connection.publish(schema.typeName, encodeMessage(this.#wire, schema, message));
      }
    } catch (error) {
      this.#log.warn("broadcast lost", { event: schema.typeName, error: errorText(error) });
    }
  }

  subscribe<S extends DescMessage>(schema: S, handler: (message: MessageShape<S>) => void): Unsubscribe {
    const broadcast = createBroadcast(schema, handler, this.#log);
    this.#broadcasts.add(broadcast);
    if (this.#connection !== undefined) broadcast.attach(this.#connection);
    return async () => {
      this.#broadcasts.delete(broadcast);
      broadcast.detach();
    };
  }

  async publishDurable(schema: DescMessage, messages: readonly Uint8Array[]): Promise<void> {
    if (this.#connection === undefined || !this.connected) throw new Error("NATS is not connected");
    await this.#ensureStream(this.#connection, schema);
    const client = jetstream(this.#connection, { timeout: 5000 });
    const packed = headers();
    packed.set(packHeader.name, packHeader.value);
    try {
      const packs = packEvents(messages);
      await Promise.all(packs.map((pack) => client.publish(schema.typeName, pack, { headers: packed })));
    } catch (error) {
      this.#streams.delete(schema.typeName);
      throw error;
    }
  }

  async subscribeDurable(schema: DescMessage, group: string, handler: DurableHandler): Promise<Unsubscribe> {
    return consumeDurable({ schema, group, handler, log: this.#log }, this.#closing.signal, async () => {
      const connection = await this.#connecting;
      if (connection === undefined) return undefined;
      this.#streams.delete(schema.typeName);
      await this.#ensureStream(connection, schema);
      return connection;
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#connecting;
    await this.#connection?.drain().catch(() => this.#connection?.close());
  }

  #attach(connection: NatsConnection): void {
    this.#connection = connection;
    this.#live = true;
    for (const broadcast of this.#broadcasts) broadcast.attach(connection);
    void watch(connection, this.#log, (live) => {
      this.#live = live;
    });
  }

  async #ensureStream(connection: NatsConnection, schema: DescMessage): Promise<void> {
    if (this.#streams.has(schema.typeName)) return;
    const manager = await jetstreamManager(connection, { timeout: 5000 });
    const stream = {
      name: streamName(schema),
      subjects: [schema.typeName],
      retention: RetentionPolicy.Workqueue,
      storage: StorageType.File,
      max_age: maxAgeNanos,
      num_replicas: this.#replicas,
    };
    try {
      await manager.streams.add(stream);
    } catch (error) {
      if (!(error instanceof JetStreamApiError && error.code === otherConfiguration)) throw error;
      const { config } = await manager.streams.info(stream.name);
      if (config.num_replicas < this.#replicas) await manager.streams.update(stream.name, stream);
    }
    this.#streams.add(schema.typeName);
  }
}

/** A broadcast subscription, attached anew to every connection. */
interface Broadcast {
  attach(connection: NatsConnection): void;
  detach(): void;
}

function createBroadcast<S extends DescMessage>(
  schema: S,
  handler: (message: MessageShape<S>) => void,
  log: Logger,
): Broadcast {
  let subscription: Subscription | undefined;
  return {
    attach(connection) {
      subscription = connection.subscribe(schema.typeName, {
        callback: (error, message) => {
          try {
            if (error === null) handler(fromBinary(schema, message.data));
          } catch (failure) {
            log.error("event handler failed", { event: schema.typeName, error: errorText(failure) });
          }
        },
      });
    },
    detach() {
      subscription?.unsubscribe();
    },
  };
}

async function connectForever(
  options: NatsOptions,
  signal: AbortSignal,
  onConnect: (connection: NatsConnection) => void,
): Promise<NatsConnection | undefined> {
  let warned = false;
  while (!signal.aborted) {
    try {
      const connection = await connect({
        servers: options.url.split(","),
        name: options.name,
        token: options.token?.reveal(),
        maxReconnectAttempts: -1,
        reconnectTimeWait: retryMs,
      });
      onConnect(connection);
      return connection;
    } catch (error) {
      if (!warned) {
        const url = withoutCredentials(options.url);
        options.log.warn("NATS does not answer, trying on", { url, error: withoutCredentials(errorText(error)) });
      }
      warned = true;
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
  }
  return undefined;
}

/** Addresses may hold a user and a password, or a token, before an `@`. */
function withoutCredentials(text: string): string {
  return text.replace(/\/\/[^/@\s,]*@/g, "//");
}

/** A connection that is reconnecting still counts as open for the client, so its status is followed. */
async function watch(connection: NatsConnection, log: Logger, report: (live: boolean) => void): Promise<void> {
  for await (const status of connection.status()) {
    if (status.type === "disconnect") {
      report(false);
      log.warn("NATS connection lost, reconnecting");
    } else if (status.type === "reconnect") {
      report(true);
      log.info("NATS connection is back");
    }
  }
}
