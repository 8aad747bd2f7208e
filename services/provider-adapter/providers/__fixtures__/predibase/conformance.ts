import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { openAiWire } from "../../../testing/wires/openai.ts";

const path = "/tenant/deployments/v2/llms/model/v1/chat/completions";

export const subjects: readonly ConformanceSubject[] = [
  {
    model: "model",
    wire: openAiWire,
    credential: "predibase-conformance-key",
    settings: { tenant_id: "tenant" },
    paths: { whole: path, stream: path },
    authorization: ["authorization", "Bearer predibase-conformance-key"],
    missingCredential: { names: "PREDIBASE_API_KEY" },
  },
];
