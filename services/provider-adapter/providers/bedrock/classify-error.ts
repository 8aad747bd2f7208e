import type { UpstreamErrorInit } from "#chassis/errors.ts";
import type { EventStreamMessage } from "../../aws-eventstream.ts";
import { classifyAwsError, classifyAwsException } from "../aws-errors.ts";
import { malformed } from "../malformed.ts";

export const providerId = "bedrock";

const service = { id: providerId, name: "Bedrock" };

/** Reads a failed answer. */
export function classifyError(
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): UpstreamErrorInit {
  return classifyAwsError(service, status, headers, body);
}

/** Reads an exception that came as a message of a stream. */
export function classifyException(message: EventStreamMessage): UpstreamErrorInit {
  return classifyAwsException(service, message);
}

/** An answer that is not what the protocol says. */
export function brokenAnswer(message: string): UpstreamErrorInit {
  return malformed(providerId, message);
}
