import { BinaryWriter, sizeDelimitedPeek } from "@bufbuild/protobuf/wire";

/** The header of a message that holds several events, and its value: each stands behind its length, as a varint. */
export const packHeader = { name: "Sluice-Pack", value: "size-delimited" } as const;

/** A pack is closed at this size. Servers refuse messages above one megabyte by default. */
const packBytes = 64 * 1024;
/** A length takes no more. */
const longestLength = 5;

/**
 * Joins encoded events into packs: acknowledging a message costs both ends and the server far more than the event in it.
 * An event that is large by itself gets a pack of its own.
 */
export function packEvents(events: readonly Uint8Array[]): Uint8Array[] {
  const packs: Uint8Array[] = [];
  const writer = new BinaryWriter();
  let size = 0;
  for (const event of events) {
    if (size > 0 && size + event.length + longestLength > packBytes) {
      packs.push(writer.finish());
      size = 0;
    }
    writer.bytes(event);
    size += event.length + longestLength;
  }
  if (size > 0) packs.push(writer.finish());
  return packs;
}

/** The events of a pack, which still share its bytes. A wrong length is told, and all that follows it is left out. */
export function unpackEvents(pack: Uint8Array, onUnreadable: (error: unknown) => void): Uint8Array[] {
  const events: Uint8Array[] = [];
  for (let rest = pack; rest.length > 0; ) {
    const { size, offset } = sizeDelimitedPeek(rest);
    if (size === null || offset === null || offset + size > rest.length) {
      onUnreadable(new Error("the pack is cut short"));
      return events;
    }
    events.push(rest.subarray(offset, offset + size));
    rest = rest.subarray(offset + size);
  }
  return events;
}
