import { z } from "zod";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";

const ms = z.coerce.number().min(0).max(3_600_000);

const knobs = z.strictObject({
  /** Before anything, milliseconds. */
  latency_ms: ms.default(0),
  /** Before the first payload of a stream, in addition, milliseconds. */
  first_token_ms: ms.default(0),
  /** Between the payloads of a stream, milliseconds. */
  chunk_interval_ms: ms.default(0),
  /** How many tokens to answer with, instead of the echo. */
  tokens: z.coerce.number().int().min(0).max(1_000_000).optional(),
  /** Answer with this text instead of the echo. */
  text: z.string().optional(),
  /** Tools to call: by name and arguments, or how many times to call the request's own tools in turn. */
  tool_calls: z
    .union([
      z.coerce.number().int().min(0).max(128),
      z.array(z.strictObject({ name: z.string(), arguments: z.record(z.string(), z.json()).default({}) })).max(128),
    ])
    .default(0),
  /** Fail, at once or, in a stream, behind so many payloads. */
  error: z
    .strictObject({
      status: z.coerce.number().int().min(400).max(599).default(500),
      message: z.string().default("a mock error"),
      code: z.string().default("mock_error"),
      mid_stream_after: z.coerce.number().int().min(0).optional(),
    })
    .optional(),
});

/** How a mock answer is to be. */
export type Knobs = z.infer<typeof knobs>;

/**
 * Reads the knobs of a mock call: those behind a `?` in the model's name (`load?tokens=200&first_token_ms=30`, an error as
 * `error=429`), and over them those of the body's `mock` object. Throws INVALID_REQUEST where one is not as it has to be.
 */
export function readKnobs(model: string, mock: JsonValue | undefined): Knobs {
  const query = model.includes("?") ? model.slice(model.indexOf("?") + 1) : "";
  const named: JsonObject = {};
  for (const [name, value] of new URLSearchParams(query)) named[name] = name === "error" ? { status: value } : value;
  const given = typeof mock === "object" && mock !== null && !Array.isArray(mock) ? mock : {};
  const result = knobs.safeParse({ ...named, ...given });
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const param = ["mock", ...(issue?.path ?? [])].join(".");
  throw gatewayError(Reason.INVALID_REQUEST, `${param}: ${issue?.message ?? "malformed"}`, { param });
}
