import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { watsonxTextWire } from "../../../testing/wires/watsonx-text.ts";

const noTools = "a model that continues a text calls no tools";

export const subjects: readonly ConformanceSubject[] = [
  {
    model: "ibm/granite-13b",
    wire: watsonxTextWire,
    credential: '{"token":"watsonx-conformance-token"}',
    settings: { project_id: "project" },
    paths: {
      whole: "/ml/v1/text/generation?version=2024-03-13",
      stream: "/ml/v1/text/generation_stream?version=2024-03-13",
    },
    authorization: ["authorization", "Bearer watsonx-conformance-token"],
    refuses: {
      tools: noTools,
      "no tools": noTools,
      "a needed tool": noTools,
      "a named tool": noTools,
      "parallel tools": noTools,
      "tool results": noTools,
      "image in": "it reads texts alone",
      reasoning: "it does not think",
      "JSON schema": "it has no formats",
    },
    neverAnswers: { "tool call": noTools, "parallel calls": noTools, reasoning: "it does not think" },
    missingCredential: { names: "WATSONX_APIKEY", base: "https://us-south.ml.cloud.ibm.com" },
  },
];
