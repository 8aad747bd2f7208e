import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { openAiWire } from "../../../testing/wires/openai.ts";

const common = {
  wire: openAiWire,
  credential: "databricks-conformance-key",
  paths: { whole: "/serving-endpoints/chat/completions", stream: "/serving-endpoints/chat/completions" },
  authorization: ["authorization", "Bearer databricks-conformance-key"],
  missingCredential: { names: "DATABRICKS_API_KEY", base: "https://workspace.cloud.databricks.com" },
} as const;

export const subjects: readonly ConformanceSubject[] = [
  { ...common, model: "databricks-llama" },
  {
    ...common,
    name: "claude",
    model: "my-claude",
    sends: { reasoning: { thinking: { type: "enabled", budget_tokens: 1024 } } },
  },
];
