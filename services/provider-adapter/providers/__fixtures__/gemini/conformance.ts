import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { geminiWire } from "../../../testing/wires/gemini.ts";

const path = "/v1beta/models/gemini-2.5-flash";

export const subjects: readonly ConformanceSubject[] = [
  {
    model: "gemini-2.5-flash",
    wire: geminiWire,
    credential: "AIza-conformance",
    paths: { whole: `${path}:generateContent`, stream: `${path}:streamGenerateContent?alt=sse` },
    authorization: ["x-goog-api-key", "AIza-conformance"],
    missingCredential: { names: "GEMINI_API_KEY" },
  },
];
