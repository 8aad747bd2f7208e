import { crc32 } from "node:zlib";
import type { WireWriter } from "#chassis/wire/wire-writer.ts";

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

/** The CRC-32 of a type, which that of the payload goes on from. */
const crcOfType = new Map(Object.values(frameType).map((type) => [type, crc32(Uint8Array.of(type))]));

/** Writes a frame. */
export function writeFrame(to: WireWriter, type: FrameType, payload: Uint8Array): void {
  const checksum = crc32(payload, crcOfType.get(type));
  to.fixed32(payload.length);
  to.fixed32(checksum);
  to.varint(type);
  to.raw(payload);
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

/** Where the record id stands in a `begin` or `end` payload: it is field 1, thus after a tag and a length byte. */
const recordIdAt = 2;

/** The record id of a `begin` or `end` payload. */
export function recordIdOf(payload: Buffer): string {
  return payload.toString("latin1", recordIdAt, recordIdAt + recordIdLength);
}

/** The payload of an `acked` for such records. */
export function recordIdsIn(payloads: readonly Buffer[]): Buffer {
  const ids = Buffer.allocUnsafe(payloads.length * recordIdLength);
  for (const [at, payload] of payloads.entries()) {
    payload.copy(ids, at * recordIdLength, recordIdAt, recordIdAt + recordIdLength);
  }
  return ids;
}

/** The record ids of a `void` or `acked` payload. */
export function recordIdsOf(payload: Buffer): string[] {
  return Array.from({ length: Math.floor(payload.length / recordIdLength) }, (_, at) =>
    payload.toString("latin1", at * recordIdLength, (at + 1) * recordIdLength),
  );
}
