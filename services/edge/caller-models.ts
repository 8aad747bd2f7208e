import { create } from "@bufbuild/protobuf";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { type CallerModels, CallerModelsSchema } from "#gen/sluice/rest/v1/caller_pb.ts";

/** Which models a key may use: what it says itself, and what everybody above it says. */
export function callerModels({ models, rights }: Principal): CallerModels {
  const own = models.length === 0 ? [] : [{ level: "key", models }];
  return create(CallerModelsSchema, {
    levels: [...own, ...rights.map((right) => ({ level: right.level, models: right.models }))],
  });
}
