import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { cohereWire } from "../../../testing/wires/cohere.ts";

export const subjects: readonly ConformanceSubject[] = [
  {
    model: "command-a-03-2025",
    wire: cohereWire,
    credential: "cohere-conformance-key",
    paths: { whole: "/v2/chat", stream: "/v2/chat" },
    authorization: ["authorization", "Bearer cohere-conformance-key"],
    missingCredential: { names: "COHERE_API_KEY" },
  },
];
