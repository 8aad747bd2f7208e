import type { ManagedProcess } from "./managed-process.ts";

export const targetNames = ["direct", "bare pipe", "sluice", "portkey", "sluice mesh"] as const;
export type TargetName = (typeof targetNames)[number];

/** Something that answers chat completions: a gateway under test, or the fake provider itself (`direct`). */
export interface Target {
  readonly name: TargetName;
  /** `http://127.0.0.1:PORT`. */
  readonly origin: string;
  /** Credentials and whatever else the gateway asks of a client. */
  readonly headers: Readonly<Record<string, string>>;
  readonly process: ManagedProcess;
}

/** The path that all targets serve. */
export const chatPath = "/v1/chat/completions";
