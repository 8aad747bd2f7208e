import { z } from "zod";
import table from "./left-out.json" with { type: "json" };

/** A provider that LiteLLM lists for chat and the catalog does not, and why. */
export interface LeftOut {
  /** What stands before the slash of a model's name at LiteLLM. */
  readonly id: string;
  readonly name: string;
  readonly reason: string;
}

/** The rows of left-out.json, in its order. */
export const leftOut: readonly LeftOut[] = z
  .array(z.strictObject({ id: z.string(), name: z.string(), reason: z.string() }))
  .parse(table);
