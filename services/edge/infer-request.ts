import type { IncomingHttpHeaders } from "node:http";
import { create } from "@bufbuild/protobuf";
import { editJson, JsonObjectProblem } from "#chassis/json-members.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { type Caller, CallerSchema, Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { type InferRequest, InferRequestSchema } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { invalidRequest, type JsonObject, parseObject } from "./body-json.ts";
import { isCallId } from "./call-id.ts";
import type { GatewayInput } from "./gateway-fields.ts";
import { readGatewayInput } from "./gateway-input.ts";
import { readShape } from "./shape.ts";

/**
 * Client headers that belong to a dialect and reach the provider. OpenAI's organization and project are not among them:
 * they belong to the credential, which is the deployment's, and a wrong one is a 401 that would cool it down for all.
 */
const dialectHeaders = ["anthropic-version", "anthropic-beta", "openai-beta"] as const;

const maxModelLength = 512;
const maxTags = 100;
/** Of a tag or an end user: they stand in every row of the spend log. */
const maxNameLength = 256;

/** A model call as it came in. */
export interface RawCall {
  readonly operation: Operation;
  readonly bytes: Buffer;
  readonly headers: IncomingHttpHeaders;
  /** The model of the path; empty where the path names none. It wins over the body's. */
  readonly pathModel: string;
  readonly callId: string;
  readonly principal: Principal;
}

/**
 * Turns a client's request into the mesh's: the body is parsed once, checked where the mesh needs it, and goes on as the
 * client's own bytes without the gateway's fields.
 *
 * @throws a GatewayError that names what is wrong.
 */
export function readInferRequest(raw: RawCall): InferRequest {
  const body = parseObject(raw.bytes);
  const { input, removed } = readGatewayInput(body, raw.headers);
  const request = create(InferRequestSchema);
  request.callId = isCallId(input.callId) ? input.callId : raw.callId;
  request.operation = raw.operation;
  request.model = readModel(raw.pathModel || body.model);
  // Some clients send the flag with everything; embeddings and ranks come whole all the same.
  request.stream = readStream(body) && raw.operation !== Operation.EMBEDDINGS && raw.operation !== Operation.RERANK;
  request.contentType = "application/json";
  request.body = removed.length === 0 ? raw.bytes : cut(raw.bytes, removed);
  request.caller = callerOf(raw.principal, input);
  request.shape = readShape(raw.operation, body);
  request.options = input.options;
  for (const name of dialectHeaders) {
    const value = raw.headers[name];
    if (typeof value === "string") request.headers[name] = value;
  }
  return request;
}

function readModel(model: unknown): string {
  if (model === undefined || model === null || model === "") {
    throw invalidRequest("'model' is a required field. Call `/v1/models` to view the models of your key.", "model");
  }
  if (typeof model !== "string") throw invalidRequest("'model' must be a string.", "model");
  if (model.length > maxModelLength) throw invalidRequest("'model' is too long.", "model");
  return model;
}

function readStream(body: JsonObject): boolean {
  const { stream } = body;
  if (stream === undefined || stream === null) return false;
  if (typeof stream !== "boolean") throw invalidRequest("'stream' must be true or false.", "stream");
  return stream;
}

function cut(bytes: Buffer, remove: readonly string[]): Uint8Array {
  try {
    return editJson(bytes, { remove });
  } catch (error) {
    if (error instanceof JsonObjectProblem) throw invalidRequest(`Invalid JSON payload: ${error.message}.`);
    throw error;
  }
}

function callerOf(principal: Principal, input: GatewayInput): Caller {
  const caller = create(CallerSchema);
  caller.kind = principal.kind;
  caller.keyId = principal.keyId;
  caller.keyAlias = principal.keyAlias;
  caller.userId = principal.userId;
  caller.teamId = principal.teamId;
  caller.endUser = input.endUser.slice(0, maxNameLength);
  caller.tags = input.tags.slice(0, maxTags).map((tag) => tag.slice(0, maxNameLength));
  caller.models = principal.models;
  caller.scopes = principal.scopes;
  return caller;
}
