import { randomFillSync } from "node:crypto";

/** Random bytes are drawn many at a time: each draw is a call of the system. */
const randomLength = 6;
const drawsAtOnce = 1024;
/** Where a millisecond's counter begins at most: half of its 26 bits. */
const counterStart = 2 ** 25;
const counterEnd = 2 ** 26;
/** A clock that was set back by more than this is believed. */
const believedMs = 10_000;

const digits = Buffer.from("0123456789abcdef", "latin1");

/**
 * Makes record ids: UUIDv7, in the order of their making. The time is followed by a counter that begins at a random number
 * (RFC 9562, 6.2, method 1), then by 48 random bits. The text is put together in one place, digit by digit: of 36 pieces of
 * text, or by way of an object for each id, it takes five times as long.
 */
export function createRecordIds(): (now: number) => string {
  const text = Buffer.from("00000000-0000-7000-8000-000000000000", "latin1");
  const random = Buffer.alloc(randomLength * drawsAtOnce);
  let drawn = random.length;
  let time = 0;
  let counter = 0;

  const draw = (): number => {
    if (drawn === random.length) {
      randomFillSync(random);
      drawn = 0;
    }
    drawn += randomLength;
    return drawn - randomLength;
  };
  const enter = (ms: number): void => {
    time = ms;
    counter = random.readUInt32LE(draw()) % counterStart;
    writeHex(text, 0, 8, Math.floor(ms / 0x10000));
    writeHex(text, 9, 4, ms % 0x10000);
  };

  return (now) => {
    counter += 1;
    if (now > time || now < time - believedMs) enter(now);
    else if (counter === counterEnd) enter(time + 1);
    writeHex(text, 15, 3, counter >>> 14);
    writeHex(text, 19, 4, 0x8000 | (counter & 0x3fff));
    const at = draw();
    writeHex(text, 24, 4, random.readUInt16LE(at));
    writeHex(text, 28, 8, random.readUInt32LE(at + 2));
    return text.toString("latin1");
  };
}

/** Writes the last `length` digits of a number of at most 32 bits. */
function writeHex(to: Buffer, at: number, length: number, value: number): void {
  let rest = value;
  for (let place = at + length - 1; place >= at; place -= 1) {
    to[place] = digits[rest & 0xf] ?? 0;
    rest >>>= 4;
  }
}
