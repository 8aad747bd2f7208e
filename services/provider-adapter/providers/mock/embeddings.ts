import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
import { hashOf, tokensOf } from "./reply.ts";

const defaultDimensions = 1536;
const maxDimensions = 65_536;

/** Vectors of length 1 that depend on nothing but the text, and how many tokens they cost. */
export function makeEmbeddings(call: ProviderCall, body: JsonObject): { body: JsonObject; tokens: number } {
  const inputs = inputsOf(body.input ?? "");
  const dimensions = body.dimensions ?? defaultDimensions;
  if (typeof dimensions !== "number" || !(dimensions >= 1 && dimensions <= maxDimensions)) {
    throw gatewayError(Reason.INVALID_REQUEST, `dimensions: expected 1 to ${maxDimensions}`, { param: "dimensions" });
  }
  const base64 = body.encoding_format === "base64";
  const tokens = inputs.reduce((sum, text) => sum + tokensOf(text), 0);
  const data = inputs.map((text, index) => {
    const vector = vectorOf(text, Math.trunc(dimensions));
    return {
      object: "embedding",
      index,
      embedding: base64 ? Buffer.from(vector.buffer).toString("base64") : [...vector],
    };
  });
  const usage = { prompt_tokens: tokens, total_tokens: tokens };
  return { body: { object: "list", data, model: call.model, usage }, tokens };
}

/** A text, a list of texts, a list of token ids, or a list of such lists. */
function inputsOf(input: JsonValue): string[] {
  if (!Array.isArray(input)) return [typeof input === "string" ? input : JSON.stringify(input)];
  if (input.every((item) => typeof item === "number")) return [input.join(" ")];
  return input.map((item) => (typeof item === "string" ? item : JSON.stringify(item)));
}

/** A linear congruential generator, seeded with the text's hash. */
function vectorOf(text: string, dimensions: number): Float32Array<ArrayBuffer> {
  const vector = new Float32Array(dimensions);
  let state = hashOf(Buffer.from(text));
  for (let at = 0; at < dimensions; at += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    vector[at] = state / 0x80000000 - 1;
  }
  const length = Math.hypot(...vector) || 1;
  return vector.map((value) => value / length);
}
