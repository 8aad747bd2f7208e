import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { ollamaWire } from "../../../testing/wires/ollama.ts";

export const subjects: readonly ConformanceSubject[] = [
  {
    model: "qwen3:4b",
    wire: ollamaWire,
    credential: "ollama-conformance-key",
    paths: { whole: "/api/chat", stream: "/api/chat" },
    authorization: ["authorization", "Bearer ollama-conformance-key"],
    refuses: {
      "a needed tool": "Ollama has no tool_choice: what tools are told of may be used",
      "a named tool": "Ollama has no tool_choice",
    },
    missingCredential: { neededNot: "a server on one's own machine asks for no key" },
  },
];
