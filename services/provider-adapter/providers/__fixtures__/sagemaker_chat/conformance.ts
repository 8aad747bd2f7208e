import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { inPayloadParts } from "../../../testing/wires/aws-frames.ts";
import { openAiWire } from "../../../testing/wires/openai.ts";

export const subjects: readonly ConformanceSubject[] = [
  {
    model: "my-endpoint",
    wire: inPayloadParts(openAiWire),
    credential: JSON.stringify({ aws_access_key_id: "AKIACONFORMANCE", aws_secret_access_key: "secret-of-conformance" }),
    settings: { aws_region_name: "eu-central-1" },
    paths: {
      whole: "/endpoints/my-endpoint/invocations",
      stream: "/endpoints/my-endpoint/invocations-response-stream",
    },
    authorization: ["authorization", "AWS4-HMAC-SHA256 Credential=AKIACONFORMANCE/"],
    kinds: { 500: UpstreamErrorKind.UNAVAILABLE },
    missingCredential: { names: "AWS_ACCESS_KEY_ID" },
  },
];
