import type { IncomingHttpHeaders } from "node:http";
import { editJson, JsonObjectProblem } from "#chassis/json-members.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { type Caller, CallerSchema, Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { type InferRequest, InferRequestSchema } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { invalidRequest, type JsonObject, parseObject } from "./body-json.ts";
import { isCallId } from "./call-id.ts";
import type { GatewayInput } from "./gateway-fields.ts";
import { readGatewayInput } from "./gateway-input.ts";
import { scopesFor } from "./named-scopes.ts";
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
  /** Whether the path asks for a stream; absent where the body says it. */
  readonly stream?: boolean;
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
  const name = readModel(raw.pathModel || body.model);
  const model = aliased(raw.principal, name);
  // Some clients send the flag with everything; embeddings and ranks come whole all the same.
  const asked = raw.stream ?? readStream(body);
  const stream = asked && raw.operation !== Operation.EMBEDDINGS && raw.operation !== Operation.RERANK;
  return {
    $typeName: InferRequestSchema.typeName,
    callId: isCallId(input.callId) ? input.callId : raw.callId,
    operation: raw.operation,
    model,
    stream,
    contentType: "application/json",
    body: removed.length === 0 ? raw.bytes : cut(raw.bytes, removed),
    caller: callerOf(raw.principal, input, model, name),
    shape: readShape(raw.operation, body),
    options: input.options,
    headers: dialectHeadersOf(raw.headers),
  };
}

function dialectHeadersOf(headers: IncomingHttpHeaders): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of dialectHeaders) {
    const value = headers[name];
    if (typeof value === "string") kept[name] = value;
  }
  return kept;
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

/** The model that a name of the key or its team stands for. */
function aliased({ aliases }: Principal, model: string): string {
  return Object.hasOwn(aliases, model) ? (aliases[model] ?? model) : model;
}

/** The caller, and who it is in other teams, where the name that the client wrote may stand for another model. */
function callerOf(principal: Principal, input: GatewayInput, model: string, name: string): Caller {
  const { alternatives } = principal;
  const tags = principal.tags.length === 0 ? input.tags : [...new Set([...principal.tags, ...input.tags])];
  return {
    $typeName: CallerSchema.typeName,
    kind: principal.kind,
    keyId: principal.keyId,
    keyAlias: principal.keyAlias,
    userId: principal.userId,
    teamId: principal.teamId,
    endUser: (principal.endUser || input.endUser).slice(0, maxNameLength),
    tags: tags.length === 0 ? tags : tags.slice(0, maxTags).map((tag) => tag.slice(0, maxNameLength)),
    models: principal.models,
    scopes: scopesFor(principal.scopes, model),
    rights: principal.rights,
    alternatives: alternatives.map((each) => {
      const own = aliased(each, name);
      return { ...callerOf(each, input, own, name), model: own };
    }),
    model: "",
  };
}
