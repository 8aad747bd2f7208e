import { z } from "zod";

/** Values of a configuration file. Absent, null and unset are the same. What a variable holds is a text. */

const written = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*$/i;

/** A number as `schema` wants it, which may stand there as a text. */
export function numberIn<S extends z.ZodType>(schema: S) {
  return z
    .preprocess((value) => (typeof value === "string" && written.test(value) ? Number(value) : value), schema)
    .nullish();
}

/** `true` or `false`, which may stand there as a text, in letters of any size. */
export const flag = z
  .preprocess(
    (value) => (typeof value === "string" && /^(?:true|false)$/i.test(value) ? /^true$/i.test(value) : value),
    z.boolean("expected true or false"),
  )
  .nullish();
