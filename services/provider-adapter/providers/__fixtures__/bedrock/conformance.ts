import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { converseWire } from "../../../testing/wires/converse.ts";

const model = "anthropic.claude-sonnet-4-5-20250929-v1:0";
const path = `/model/${encodeURIComponent(model)}`;

export const subjects: readonly ConformanceSubject[] = [
  {
    model,
    wire: converseWire,
    credential: JSON.stringify({ aws_access_key_id: "AKIACONFORMANCE", aws_secret_access_key: "secret-of-conformance" }),
    settings: { aws_region_name: "eu-central-1" },
    paths: { whole: `${path}/converse`, stream: `${path}/converse-stream` },
    authorization: ["authorization", "AWS4-HMAC-SHA256 Credential=AKIACONFORMANCE/"],
    // LiteLLM's mapping: Bedrock says 500 where it is unavailable.
    kinds: { 500: UpstreamErrorKind.UNAVAILABLE },
    missingCredential: { names: "AWS_ACCESS_KEY_ID" },
  },
];
