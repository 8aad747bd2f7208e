import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { skySchema } from "../../../testing/conformance-cases.ts";
import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { anthropicWire } from "../../../testing/wires/anthropic.ts";
import { inChunks } from "../../../testing/wires/aws-frames.ts";
import { converseWire } from "../../../testing/wires/converse.ts";
import { openAiWire } from "../../../testing/wires/openai.ts";

const claude = "anthropic.claude-sonnet-4-5-20250929-v1:0";
const nova = "us.amazon.nova-2-lite-v1:0";
const gptOss = "openai.gpt-oss-20b-1:0";
const pathOf = (model: string) => `/model/${encodeURIComponent(model)}`;
const common = {
  credential: JSON.stringify({ aws_access_key_id: "AKIACONFORMANCE", aws_secret_access_key: "secret-of-conformance" }),
  settings: { aws_region_name: "eu-central-1" },
  authorization: ["authorization", "AWS4-HMAC-SHA256 Credential=AKIACONFORMANCE/"],
  // LiteLLM's mapping: Bedrock says 500 where it is unavailable.
  kinds: { 500: UpstreamErrorKind.UNAVAILABLE },
  missingCredential: { names: "AWS_ACCESS_KEY_ID" },
} as const;
const invoked = (model: string) => ({
  whole: `${pathOf(model)}/invoke`,
  stream: `${pathOf(model)}/invoke-with-response-stream`,
});
const conversed = (model: string) => ({
  whole: `${pathOf(model)}/converse`,
  stream: `${pathOf(model)}/converse-stream`,
});

export const subjects: readonly ConformanceSubject[] = [
  {
    ...common,
    name: "converse",
    model: `converse/${claude}`,
    wire: converseWire,
    paths: conversed(claude),
  },
  {
    ...common,
    name: "nova",
    model: nova,
    wire: converseWire,
    paths: conversed(nova),
    sends: {
      reasoning: { additionalModelRequestFields: { reasoningConfig: { type: "enabled", maxReasoningEffort: "low" } } },
      "JSON schema": { toolConfig: { tools: [{ toolSpec: { name: "json_tool_call", inputSchema: { json: skySchema } } }] } },
    },
  },
  { ...common, name: "invoke, claude", model: `invoke/${claude}`, wire: inChunks(anthropicWire), paths: invoked(claude) },
  { ...common, name: "invoke, openai", model: `invoke/${gptOss}`, wire: inChunks(openAiWire), paths: invoked(gptOss) },
];
