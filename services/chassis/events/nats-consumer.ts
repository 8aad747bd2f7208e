import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
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
import type { Unsubscribe } from "./bus.ts";

export interface DurableConsumer<S extends DescMessage> {
  readonly schema: S;
  readonly group: string;
  readonly handler: (batch: readonly MessageShape<S>[]) => Promise<void>;
  readonly log: Logger;
}

const maxBatch = 500;
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
export async function consumeDurable<S extends DescMessage>(
  consumer: DurableConsumer<S>,
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

async function consumeOnce<S extends DescMessage>(
  consumer: DurableConsumer<S>,
  connection: NatsConnection,
  signal: AbortSignal,
): Promise<void> {
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
    max_messages: 2 * maxBatch,
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

/** Hands messages on in batches, one batch at a time: what arrives while one is handled becomes the next. */
function createBatcher<S extends DescMessage>(consumer: DurableConsumer<S>) {
  let pending: JsMsg[] = [];
  let running: Promise<void> | undefined;

  async function drain(): Promise<void> {
    while (pending.length > 0) {
      const batch = pending.slice(0, maxBatch);
      pending = pending.slice(maxBatch);
      await handle(consumer, batch);
    }
    running = undefined;
  }

  return {
    add(message: JsMsg): void {
      pending.push(message);
      running ??= Promise.resolve().then(drain);
    },
    async idle(): Promise<void> {
      await running;
    },
  };
}

async function handle<S extends DescMessage>(consumer: DurableConsumer<S>, batch: readonly JsMsg[]): Promise<void> {
  const events: MessageShape<S>[] = [];
  const readable: JsMsg[] = [];
  for (const message of batch) {
    try {
      events.push(fromBinary(consumer.schema, message.data));
      readable.push(message);
    } catch (error) {
      consumer.log.error("unreadable event dropped", { event: consumer.schema.typeName, error: errorText(error) });
      message.term();
    }
  }
  try {
    if (events.length > 0) await consumer.handler(events);
    for (const message of readable) message.ack();
  } catch (error) {
    consumer.log.warn("events will be delivered again", {
      event: consumer.schema.typeName,
      count: events.length,
      error: errorText(error),
    });
    for (const message of readable) message.nak(redeliverAfterMs);
  }
}
