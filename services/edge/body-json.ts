import { isUtf8 } from "node:buffer";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { findJsonFault } from "./json-fault.ts";

export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The one parse of a call. Members are own properties, `__proto__` too, so that no input reaches a prototype.
 *
 * @throws a GatewayError that names the place of the fault.
 */
export function parseObject(bytes: Buffer): JsonObject {
  if (bytes.length === 0) throw invalidRequest("The request has no body. Send a JSON object.");
  // Decoding would put other characters in the place of broken ones, and the provider is sent the bytes.
  if (!isUtf8(bytes)) throw invalidRequest("Invalid JSON payload: the body is not valid UTF-8.");
  const text = bytes.toString();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalidRequest(`Invalid JSON payload: ${findJsonFault(text)}`);
  }
  if (!isObject(value)) throw invalidRequest("Invalid JSON payload: the body must be a JSON object.");
  return value;
}

export function invalidRequest(message: string, param?: string) {
  return gatewayError(Reason.INVALID_REQUEST, message, param === undefined ? {} : { param });
}
