import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { anthropicWire } from "../../../testing/wires/anthropic.ts";

export const subjects: readonly ConformanceSubject[] = [
  {
    model: "claude-sonnet-4-5",
    wire: anthropicWire,
    credential: "sk-ant-conformance",
    paths: { whole: "/v1/messages", stream: "/v1/messages" },
    authorization: ["x-api-key", "sk-ant-conformance"],
    missingCredential: { names: "ANTHROPIC_API_KEY" },
  },
];
