import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { CheckKeyHealthResponseSchema, type KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";

export function checkKeyHealth(): ServiceImpl<typeof KeyService>["checkKeyHealth"] {
  return () => create(CheckKeyHealthResponseSchema, { key: "healthy" });
}
