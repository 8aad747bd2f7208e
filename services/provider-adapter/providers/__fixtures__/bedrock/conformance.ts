import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { skySchema } from "../../../testing/conformance-cases.ts";
import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { converseWire } from "../../../testing/wires/converse.ts";

const common = {
  wire: converseWire,
  credential: JSON.stringify({ aws_access_key_id: "AKIACONFORMANCE", aws_secret_access_key: "secret-of-conformance" }),
  settings: { aws_region_name: "eu-central-1" },
  authorization: ["authorization", "AWS4-HMAC-SHA256 Credential=AKIACONFORMANCE/"],
  // LiteLLM's mapping: Bedrock says 500 where it is unavailable.
  kinds: { 500: UpstreamErrorKind.UNAVAILABLE },
  missingCredential: { names: "AWS_ACCESS_KEY_ID" },
} as const;

function pathsOf(model: string) {
  const path = `/model/${encodeURIComponent(model)}`;
  return { whole: `${path}/converse`, stream: `${path}/converse-stream` };
}

const claude = "anthropic.claude-sonnet-4-5-20250929-v1:0";
const nova = "us.amazon.nova-2-lite-v1:0";

export const subjects: readonly ConformanceSubject[] = [
  {
    ...common,
    name: "claude",
    model: claude,
    paths: pathsOf(claude),
    messagesTestedBy: "providers/bedrock/messages-exchange.test.ts",
  },
  {
    ...common,
    name: "nova",
    model: nova,
    paths: pathsOf(nova),
    sends: {
      reasoning: { additionalModelRequestFields: { reasoningConfig: { type: "enabled", maxReasoningEffort: "low" } } },
      "JSON schema": { toolConfig: { tools: [{ toolSpec: { name: "json_tool_call", inputSchema: { json: skySchema } } }] } },
    },
  },
];
