import { skySchema } from "../../../testing/conformance-cases.ts";
import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { anthropicWire } from "../../../testing/wires/anthropic.ts";
import { geminiWire } from "../../../testing/wires/gemini.ts";
import { openAiWire } from "../../../testing/wires/openai.ts";

const root = "/v1beta1/projects/p/locations/us-east5/publishers";
const common = {
  credential: "ya29.conformance",
  settings: { vertex_project: "p", vertex_location: "us-east5" },
  authorization: ["authorization", "Bearer ya29.conformance"],
  missingCredential: { neededNot: "without one, the identity of the machine is asked for" },
} as const;
const gemini = `${root}/google/models/gemini-2.5-flash`;
const openapi = "/v1beta1/projects/p/locations/us-east5/endpoints/openapi/chat/completions";
const claude = `${root}/anthropic/models/claude-sonnet-4-5@20250929`;

export const subjects: readonly ConformanceSubject[] = [
  {
    ...common,
    name: "gemini",
    model: "gemini-2.5-flash",
    wire: geminiWire,
    paths: { whole: `${gemini}:generateContent`, stream: `${gemini}:streamGenerateContent?alt=sse` },
  },
  {
    ...common,
    name: "claude",
    model: "claude-sonnet-4-5@20250929",
    wire: anthropicWire,
    // Structured outputs have to be allowed there by an organization: a tool does the same.
    sends: { "JSON schema": { tools: [{ name: "json_tool_call", input_schema: skySchema }] } },
    paths: { whole: `${claude}:rawPredict`, stream: `${claude}:streamRawPredict` },
  },
  {
    ...common,
    name: "llama",
    model: "meta/llama-4-scout-17b-16e-instruct-maas",
    wire: openAiWire,
    paths: { whole: openapi, stream: openapi },
  },
];
