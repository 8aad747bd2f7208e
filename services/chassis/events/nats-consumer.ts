import type { DescMessage } from "@bufbuild/protobuf";
import {
  AckPolicy,
  type ConsumerMessages,
  DeliverPolicy,
  type JsMsg,
  jetstream,
  jetstreamManager,
} from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { errorText, type Logger } from "../log.ts";
import type { DurableHandler, Unsubscribe } from "./bus.ts";
import { packHeader, unpackEvents } from "./event-pack.ts";

export interface DurableConsumer {
  readonly schema: DescMessage;
  readonly group: string;
  readonly handler: DurableHandler;
  readonly log: Logger;
}

/** Events that are handled together; a pack is never split. */
const maxBatch = 500;
/** Messages that are fetched ahead, each of up to a pack's events. */
const maxMessages = 128;
const redeliverAfterMs = 1000;
const restartAfterMs = 1000;

/** A stream's name may hold no dots. */
export function streamName(schema: DescMessage): string {
  return schema.typeName.replaceAll(".", "_");
}

/**
 * Consumes a work queue until it is told to stop, through reconnections and a server that lost its streams. Resolves at
 * once; `connect` is asked again for every new start and gives undefined when the bus closes.
 */
export async function consumeDurable(
  consumer: DurableConsumer,
  closing: AbortSignal,
  connect: () => Promise<NatsConnection | undefined>,
): Promise<Unsubscribe> {
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, closing]);
  const done = run();
  return async () => {
    stop.abort();
    await done;
  };

  async function run(): Promise<void> {
    while (!signal.aborted) {
      try {
        const connection = await connect();
        if (connection === undefined) return;
        await consumeOnce(consumer, connection, signal);
      } catch (error) {
        if (signal.aborted) return;
        consumer.log.warn("durable consumer starts again", { group: consumer.group, error: errorText(error) });
      }
      if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, restartAfterMs));
    }
  }
}

async function consumeOnce(consumer: DurableConsumer, connection: NatsConnection, signal: AbortSignal): Promise<void> {
  const stream = streamName(consumer.schema);
  const manager = await jetstreamManager(connection, { timeout: 5000 });
  await manager.consumers.add(stream, {
    durable_name: consumer.group,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    max_ack_pending: 4 * maxBatch,
    max_deliver: -1,
  });
  const source = await jetstream(connection).consumers.get(stream, consumer.group);
  const batches = createBatcher(consumer);
  const messages: ConsumerMessages = await source.consume({
    max_messages: maxMessages,
    abort_on_missing_resource: true,
    callback: (message) => batches.add(message),
  });
  const abort = () => messages.stop();
  signal.addEventListener("abort", abort, { once: true });
  try {
    if (signal.aborted) messages.stop();
    const failure = await messages.closed();
    await batches.idle();
    if (failure instanceof Error) throw failure;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** A message and the events in it. */
interface Received {
  readonly message: JsMsg;
  readonly events: readonly Uint8Array[];
}

/** Hands events on in batches, one batch at a time: what arrives while one is handled becomes the next. */
function createBatcher(consumer: DurableConsumer) {
  const pending: Received[] = [];
  let running: Promise<void> | undefined;

  async function drain(): Promise<void> {
    while (pending.length > 0) {
      let events = 0;
      const full = pending.findIndex((received) => {
        events += received.events.length;
        return events >= maxBatch;
      });
      const batch = pending.splice(0, full < 0 ? pending.length : full + 1);
      await handle(consumer, batch);
    }
    running = undefined;
  }

  return {
    add(message: JsMsg): void {
      pending.push({ message, events: read(consumer, message) });
      running ??= Promise.resolve().then(drain);
    },
    async idle(): Promise<void> {
      await running;
    },
  };
}

async function handle(consumer: DurableConsumer, batch: readonly Received[]): Promise<void> {
  const events = batch.flatMap((received) => received.events);
  try {
    if (events.length > 0) await consumer.handler(events);
    for (const { message } of batch) message.ack();
  } catch (error) {
    consumer.log.warn("events will be delivered again", {
      event: consumer.schema.typeName,
      count: events.length,
      error: errorText(error),
    });
    for (const { message } of batch) message.nak(redeliverAfterMs);
  }
}

/** The events of a message: one, or a pack. What a pack cut short does not tell is dropped: no delivery would mend it. */
function read({ schema, log }: DurableConsumer, message: JsMsg): Uint8Array[] {
  if (message.headers?.get(packHeader.name) !== packHeader.value) return [message.data];
  return unpackEvents(message.data, (error) =>
    log.error("unreadable event dropped", { event: schema.typeName, error: errorText(error) }),
  );
}
