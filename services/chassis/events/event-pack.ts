import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { sizeDelimitedPeek } from "@bufbuild/protobuf/wire";
import { writeMessage } from "../wire/message-writer.ts";
import { joined, WireWriter } from "../wire/wire-writer.ts";

/** The header of a message that holds several events, and its value: each stands behind its length, as a varint. */
export const packHeader = { name: "Sluice-Pack", value: "size-delimited" } as const;

/** A pack is closed at this size. Servers refuse messages above one megabyte by default. */
const packBytes = 64 * 1024;

/**
 * Joins events into packs: acknowledging a message costs both ends and the server far more than the event in it. An event
 * that is large by itself gets a pack of its own.
 */
export function packEvents<S extends DescMessage>(schema: S, events: readonly MessageShape<S>[]): Uint8Array[] {
  const packs: Uint8Array[] = [];
  const wire = new WireWriter(packBytes);
  let open: Buffer[] = [];
  let size = 0;
  const close = () => {
    if (open.length > 0) packs.push(joined(open));
    open = [];
    size = 0;
  };
  for (const event of events) {
    const mark = wire.open();
    writeMessage(wire, schema, event);
    wire.close(mark);
    const bytes = wire.take();
    if (size + bytes.length > packBytes) close();
    open.push(bytes);
    size += bytes.length;
  }
  close();
  return packs;
}

/** The events of a pack. One that cannot be read is told and left out; so is all that follows a wrong length. */
export function unpackEvents<S extends DescMessage>(
  schema: S,
  pack: Uint8Array,
  onUnreadable: (error: unknown) => void,
): MessageShape<S>[] {
  const events: MessageShape<S>[] = [];
  for (let rest = pack; rest.length > 0; ) {
    const { size, offset } = sizeDelimitedPeek(rest);
    if (size === null || offset === null || offset + size > rest.length) {
      onUnreadable(new Error("the pack is cut short"));
      return events;
    }
    try {
      events.push(fromBinary(schema, rest.subarray(offset, offset + size)));
    } catch (error) {
      onUnreadable(error);
    }
    rest = rest.subarray(offset + size);
  }
  return events;
}
