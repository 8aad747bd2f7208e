import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { anthropicWire } from "../../../testing/wires/anthropic.ts";
import { openAiWire } from "../../../testing/wires/openai.ts";

const common = {
  credential: "foundry-conformance-key",
  missingCredential: { names: "AZURE_AI_API_KEY", base: "https://resource.services.ai.azure.com" },
} as const;

export const subjects: readonly ConformanceSubject[] = [
  {
    ...common,
    name: "serverless",
    model: "Llama-4",
    wire: openAiWire,
    base: "/v1",
    paths: { whole: "/v1/chat/completions", stream: "/v1/chat/completions" },
    authorization: ["authorization", "Bearer foundry-conformance-key"],
  },
  {
    ...common,
    name: "claude",
    model: "claude-sonnet-4-5",
    wire: anthropicWire,
    paths: { whole: "/anthropic/v1/messages", stream: "/anthropic/v1/messages" },
    authorization: ["x-api-key", "foundry-conformance-key"],
  },
];
