import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { openAiWire } from "../../../testing/wires/openai.ts";

const path = "/openai/deployments/gpt-4o/chat/completions?api-version=2025-01-01-preview";

export const subjects: readonly ConformanceSubject[] = [
  {
    model: "gpt-4o",
    wire: openAiWire,
    credential: "azure-conformance-key",
    settings: { api_version: "2025-01-01-preview" },
    paths: { whole: path, stream: path },
    authorization: ["api-key", "azure-conformance-key"],
    missingCredential: { names: "AZURE_API_KEY", base: "https://resource.openai.azure.com" },
  },
];
