/** Pieces larger than this are not copied to save a write. */
const copyLimit = 64 * 1024;

/**
 * Joins a chunk's payloads into as few pieces as is cheap. Payloads that lie side by side in one buffer become one view of
 * it; others are copied together where they are small.
 */
export function joinPayloads(payloads: readonly Uint8Array[]): readonly Uint8Array[] {
  const first = payloads[0];
  if (first === undefined || payloads.length === 1) return payloads;
  let end = first.byteOffset + first.byteLength;
  let total = first.byteLength;
  let adjacent = true;
  for (let index = 1; index < payloads.length; index += 1) {
    const payload = payloads[index];
    if (payload === undefined) continue;
    adjacent &&= payload.buffer === first.buffer && payload.byteOffset === end;
    end = payload.byteOffset + payload.byteLength;
    total += payload.byteLength;
  }
  if (adjacent) return [new Uint8Array(first.buffer, first.byteOffset, total)];
  return total <= copyLimit ? [Buffer.concat(payloads)] : payloads;
}
