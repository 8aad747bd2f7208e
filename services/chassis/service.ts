import type { DescService } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";

/** The five services. */
export const serviceNames = ["edge", "auth", "router", "provider-adapter", "accounting"] as const;
export type ServiceName = (typeof serviceNames)[number];

/** One RPC service with the code that answers it. Make it with `implement`, which checks the types. */
export interface Implementation {
  readonly service: DescService;
  readonly implementation: Record<string, unknown>;
}

export function implement<S extends DescService>(service: S, implementation: ServiceImpl<S>): Implementation {
  return { service, implementation: implementation as Record<string, unknown> };
}

/** A running service, as the composition sees it. */
export interface HostedService {
  readonly name: ServiceName;
  readonly implementations: readonly Implementation[];
  /** Stops taking new work, lets work in flight finish, then frees everything. Called once. */
  close(): Promise<void>;
}
