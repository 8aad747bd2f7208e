import { z } from "zod";

/**
 * Values of a configuration file. Absent, null and unset are the same. What a variable holds is a text, and so is what the
 * YAML 1.1 that LiteLLM reads calls a number or a flag and YAML 1.2 does not: `100_000`, `yes`, `off`.
 */

const written = /^\s*[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*$/i;
const yes = /^(?:true|yes|on)$/i;
const no = /^(?:false|no|off)$/i;

/** A number as `schema` wants it, which may stand there as a text. */
export function numberIn<S extends z.ZodType>(schema: S) {
  return z
    .preprocess(
      (value) => (typeof value === "string" && written.test(value) ? Number(value.replaceAll("_", "")) : value),
      schema,
    )
    .nullish();
}

/** `true` or `false`, or a word for it. */
export const flag = z
  .preprocess(
    (value) => (typeof value === "string" && (yes.test(value) || no.test(value)) ? yes.test(value) : value),
    z.boolean("expected true or false"),
  )
  .nullish();
