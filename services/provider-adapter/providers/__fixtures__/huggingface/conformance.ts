import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { openAiWire } from "../../../testing/wires/openai.ts";

export const subjects: readonly ConformanceSubject[] = [
  {
    model: "owner/model",
    wire: openAiWire,
    credential: "hf_conformance-key",
    paths: { whole: "/v1/chat/completions", stream: "/v1/chat/completions" },
    authorization: ["authorization", "Bearer hf_conformance-key"],
    missingCredential: { names: "HF_TOKEN" },
  },
];
