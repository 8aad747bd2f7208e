import { randomFillSync } from "node:crypto";
import { V7Generator } from "uuidv7";

const poolSize = 1024;

/**
 * Makes record ids: UUIDv7, in the order of their making. The library draws random numbers eight at a time, and the system
 * call for each eight costs more than the ids.
 */
export function createRecordIds(): () => string {
  const pool = new Uint32Array(poolSize);
  let at = poolSize;
  const nextUint32 = () => {
    if (at === poolSize) {
      randomFillSync(pool);
      at = 0;
    }
    const value = pool[at] ?? 0;
    at += 1;
    return value;
  };
  const generator = new V7Generator({ nextUint32 });
  return () => generator.generate().toString();
}
