import { upstreamError } from "#chassis/errors.ts";
import type { JsonObject } from "../../provider.ts";
import { objectOf, parseObject } from "../../translate/json-reading.ts";
import { brokenAnswer } from "./classify-error.ts";
import { type BedrockEvent, readChunk } from "./event-frames.ts";
import { headerMembers } from "./upstream-request.ts";

/**
 * The body of a Converse request as Nova takes it over Invoke: the same words, with the model's own members at the top.
 * https://docs.aws.amazon.com/nova/latest/userguide/complete-request-schema.html
 */
export function novaBody(converse: JsonObject): JsonObject {
  const { additionalModelRequestFields, inferenceConfig, ...rest } = converse;
  const additional = objectOf(additionalModelRequestFields);
  const inference = { ...objectOf(inferenceConfig), ...objectOf(additional.inferenceConfig) };
  const body: JsonObject = { schemaVersion: "messages-v1", ...rest, ...additional };
  for (const name of headerMembers) delete body[name];
  if (Object.keys(inference).length > 0) body.inferenceConfig = inference;
  return body;
}

/** A frame of Nova's stream over Invoke as an event of ConverseStream, which it is but for its frame. */
export function readNovaEvent(frame: Uint8Array): BedrockEvent | undefined {
  const text = readChunk(frame);
  if (text === undefined) return undefined;
  const event = parseObject(text);
  if (event === undefined) throw upstreamError(brokenAnswer("Bedrock sent an event that is not JSON"));
  const [type] = Object.keys(event);
  return type === undefined ? undefined : { type, payload: objectOf(event[type]), bytes: text.length };
}
