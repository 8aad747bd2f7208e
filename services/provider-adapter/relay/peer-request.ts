import { create } from "@bufbuild/protobuf";
import { CallerSchema, TargetSchema } from "#gen/sluice/inference/v1/inference_pb.ts";
import { type InferRequest, InferRequestSchema } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { AdapterCall } from "../provider-call.ts";

/**
 * The request as a service in another process gets it: the call, who it is for, and what the deployment says of it. Left
 * out are the mesh's own: the sealed credential, the hash of the caller's key, their rights and limits, the deployment's
 * address and headers, and the options that the gateway has used.
 */
export function requestForPeer(request: InferRequest, { target, call }: AdapterCall): InferRequest {
  const { caller } = request;
  return create(InferRequestSchema, {
    callId: request.callId,
    operation: request.operation,
    model: request.model,
    stream: request.stream,
    contentType: request.contentType,
    body: request.body,
    headers: request.headers,
    shape: request.shape,
    caller: caller && {
      $typeName: CallerSchema.typeName,
      kind: caller.kind,
      keyId: "",
      keyAlias: caller.keyAlias,
      userId: caller.userId,
      teamId: caller.teamId,
      endUser: caller.endUser,
      tags: caller.tags,
      models: [],
      scopes: [],
      rights: [],
      alternatives: [],
      model: "",
    },
    target: create(TargetSchema, {
      provider: target.provider,
      model: target.model,
      deployment: target.deployment,
      defaultParams: target.defaultParams,
      outputTokenCap: call.outputTokenCap,
      dropParams: target.dropParams,
      allowedOpenaiParams: target.allowedOpenaiParams,
    }),
  });
}

/** Metadata that belongs to the protocol, https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
const reserved = /^(?:grpc-.*|.*-bin|content-type|content-length|te|host|connection|transfer-encoding|user-agent)$/;
const metadataName = /^[0-9a-z_.-]+$/;
const printable = /^[\x20-\x7e]*$/;

/**
 * The deployment's headers, and its key as `authorization: Bearer` where the service is `trusted` with it: where both ends
 * have shown a certificate. A header that cannot be metadata is left out, and so is a credential among them.
 */
export function metadataOf({ target, call }: AdapterCall, trusted: boolean): Headers {
  const metadata = new Headers();
  for (const name in target.headers) {
    const lower = name.toLowerCase();
    const value = target.headers[name] ?? "";
    if (metadataName.test(lower) && !reserved.test(lower) && printable.test(value)) metadata.set(lower, value);
  }
  const key = call.credential?.reveal().trim() ?? "";
  if (!trusted) metadata.delete("authorization");
  else if (key !== "" && printable.test(key)) metadata.set("authorization", `Bearer ${key}`);
  return metadata;
}
