import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { sagemakerChatWire } from "../../../testing/wires/sagemaker.ts";

const path = "/endpoints/my-endpoint/invocations";

export const subjects: readonly ConformanceSubject[] = [
  {
    model: "my-endpoint",
    wire: sagemakerChatWire,
    credential: JSON.stringify({ aws_access_key_id: "AKIACONFORMANCE", aws_secret_access_key: "secret-of-conformance" }),
    settings: { aws_region_name: "eu-central-1" },
    paths: { whole: path, stream: `${path}-response-stream` },
    authorization: ["authorization", "AWS4-HMAC-SHA256 Credential=AKIACONFORMANCE/"],
    // LiteLLM's mapping: AWS says 500 where it is unavailable.
    kinds: { 500: UpstreamErrorKind.UNAVAILABLE },
    missingCredential: { names: "AWS_ACCESS_KEY_ID" },
  },
];
