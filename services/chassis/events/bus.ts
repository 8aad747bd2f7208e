import type { DescMessage, MessageShape } from "@bufbuild/protobuf";

/** Stops a subscription; resolves when the handler runs no more. */
export type Unsubscribe = () => Promise<void>;

/** Handles a batch of encoded events; they are delivered again where it rejects. */
export type DurableHandler = (batch: readonly Uint8Array[]) => Promise<void>;

/**
 * Events between services. The subject is the message's `typeName`; it is never typed as a string.
 *
 * A broadcast is delivered at most once to every subscriber there is at that moment. A durable event is a work item: it
 * is delivered at least once to one member of the consumer group of its type, also when nobody consumes at the moment of
 * publishing. A type has one group.
 */
export interface EventBus {
  /** Sends a broadcast. Never throws and never waits: a bus that is down loses it. */
  publish<S extends DescMessage>(schema: S, message: MessageShape<S>): void;
  /** Receives broadcasts. A handler that throws is logged; others still run. */
  subscribe<S extends DescMessage>(schema: S, handler: (message: MessageShape<S>) => void): Unsubscribe;
  /**
   * Takes messages of a type, encoded: who keeps them until they are sent keeps them as bytes. Resolves when every message
   * is stored durably (or, in process, handled). Rejects when one is not; the caller then sends all of them again:
   * consumers are idempotent.
   */
  publishDurable(schema: DescMessage, messages: readonly Uint8Array[]): Promise<void>;
  /**
   * Receives durable events in batches, encoded as they were sent: what cannot be read is the handler's to keep. A batch is
   * acknowledged when the handler resolves, and delivered again, after a pause, when it rejects.
   */
  subscribeDurable(schema: DescMessage, group: string, handler: DurableHandler): Promise<Unsubscribe>;
  /** Whether the bus can deliver now. */
  readonly connected: boolean;
  close(): Promise<void>;
}
