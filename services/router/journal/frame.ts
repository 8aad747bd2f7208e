import { crc32 } from "node:zlib";

/**
 * A segment file is `SLUICEJ1` followed by frames: u32 payload length, u32 CRC-32 of type and payload, one byte of type,
 * the payload. Numbers are little-endian.
 *
 * The payload of `begin` and `end` is a protobuf `UsageRecorded` whose record id comes first; that of `void` and `acked`
 * is one or more record ids of 36 bytes.
 */
export const segmentMagic = Buffer.from("SLUICEJ1", "latin1");
export const headerLength = 9;
export const recordIdLength = 36;

export const frameType = {
  /** The record as it stands if the process dies now. */
  begin: 1,
  /** The record as it is. */
  end: 2,
  /** The call cost nothing: its `begin` counts no more. */
  void: 3,
  /** The bus has these records: they need not be sent again. */
  acked: 4,
} as const;
export type FrameType = (typeof frameType)[keyof typeof frameType];

/** Fills in the header of the frame that lies between two places of `buffer`, its payload already written. */
export function sealFrame(buffer: Buffer, start: number, end: number, type: FrameType): void {
  buffer.writeUInt32LE(end - start - headerLength, start);
  buffer[start + headerLength - 1] = type;
  buffer.writeUInt32LE(crc32(buffer.subarray(start + headerLength - 1, end)), start + 4);
}

/** One frame inside a segment. `payload` is a view into the segment's bytes. */
export interface Frame {
  readonly type: number;
  readonly payload: Buffer;
  /** Where the frame begins and ends in the bytes. */
  readonly offset: number;
  readonly end: number;
}

/**
 * How a segment ends. `torn`: a last frame that was being written when the process died, which is normal. `damaged`:
 * bytes that are no frame although others may follow; what comes after them cannot be read.
 */
export interface SegmentEnd {
  readonly state: "complete" | "torn" | "damaged";
  /** Where reading stopped. */
  readonly offset: number;
  readonly unreadBytes: number;
}

/** Reads the frames of a whole segment up to the first that is not whole. */
export function* readSegment(bytes: Buffer): Generator<Frame, SegmentEnd> {
  if (!bytes.subarray(0, segmentMagic.length).equals(segmentMagic)) {
    const cut = segmentMagic.subarray(0, bytes.length).equals(bytes);
    return { state: cut ? "torn" : "damaged", offset: 0, unreadBytes: bytes.length };
  }
  return yield* readFrames(bytes, segmentMagic.length);
}

/** Reads frames from `offset` of `bytes`, where one begins, up to the first that is not whole. */
export function* readFrames(bytes: Buffer, offset: number): Generator<Frame, SegmentEnd> {
  let at = offset;
  while (at < bytes.length) {
    const end = frameEnd(bytes, at);
    if (end === undefined) return { state: "torn", offset: at, unreadBytes: bytes.length - at };
    if (crc32(bytes.subarray(at + headerLength - 1, end)) !== bytes.readUInt32LE(at + 4)) {
      // A power cut can leave a last frame of the right length, or a tail of zeros, whose bytes were never written.
      const tail = end === bytes.length || bytes.subarray(at).every((byte) => byte === 0);
      return { state: tail ? "torn" : "damaged", offset: at, unreadBytes: bytes.length - at };
    }
    yield { type: bytes[at + headerLength - 1] ?? 0, payload: bytes.subarray(at + headerLength, end), offset: at, end };
    at = end;
  }
  return { state: "complete", offset: at, unreadBytes: 0 };
}

function frameEnd(bytes: Buffer, at: number): number | undefined {
  if (at + headerLength > bytes.length) return undefined;
  const end = at + headerLength + bytes.readUInt32LE(at);
  return end > bytes.length ? undefined : end;
}

/** The record id of a `begin` or `end` payload: field 1, thus after a tag and a length byte. */
export function recordIdOf(payload: Buffer): string {
  return payload.toString("latin1", 2, 2 + recordIdLength);
}

/** The record ids of a `void` or `acked` payload. */
export function recordIdsOf(payload: Buffer): string[] {
  return Array.from({ length: Math.floor(payload.length / recordIdLength) }, (_, at) =>
    payload.toString("latin1", at * recordIdLength, (at + 1) * recordIdLength),
  );
}
