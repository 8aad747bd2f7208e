import { create, type DescMessage, type Message } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { type CallerModels, CallerModelsSchema } from "#gen/sluice/rest/v1/caller_pb.ts";

/** Which models a key may use: what it says itself, and what everybody above it says. */
export function callerModels({ models, rights }: Principal): CallerModels {
  const own = models.length === 0 ? [] : [{ level: "key", models }];
  return create(CallerModelsSchema, {
    levels: [...own, ...rights.map((right) => ({ level: right.level, models: right.models }))],
  });
}

/** The field of an admin request in which the edge tells what the caller may use; a client has no say in it. */
export function callerModelsField(schema: DescMessage) {
  return schema.fields.find(({ message }) => message?.typeName === CallerModelsSchema.typeName);
}

/** Writes that field, over whatever a client wrote there. A request without one stays as it is. */
export function setCallerModels(schema: DescMessage, request: Message, principal: Principal): void {
  const field = callerModelsField(schema);
  if (field !== undefined) reflect(schema, request).set(field, reflect(CallerModelsSchema, callerModels(principal)));
}
