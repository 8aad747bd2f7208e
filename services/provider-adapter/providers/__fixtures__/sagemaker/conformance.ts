import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { inPayloadParts } from "../../../testing/wires/aws-frames.ts";
import { textGenerationWire } from "../../../testing/wires/text-generation.ts";

const noTools = "a server that continues texts has no tools";

export const subjects: readonly ConformanceSubject[] = [
  {
    model: "my-endpoint",
    wire: inPayloadParts(textGenerationWire),
    credential: JSON.stringify({ aws_access_key_id: "AKIACONFORMANCE", aws_secret_access_key: "secret-of-conformance" }),
    settings: { aws_region_name: "eu-central-1" },
    paths: {
      whole: "/endpoints/my-endpoint/invocations",
      stream: "/endpoints/my-endpoint/invocations-response-stream",
    },
    authorization: ["authorization", "AWS4-HMAC-SHA256 Credential=AKIACONFORMANCE/"],
    refuses: {
      tools: noTools,
      "no tools": noTools,
      "a needed tool": noTools,
      "a named tool": noTools,
      "parallel tools": noTools,
      "tool results": noTools,
      "image in": "a text has no images",
      reasoning: "it cannot be told to reason",
      "JSON schema": "it knows no schemas",
    },
    neverAnswers: {
      "tool call": noTools,
      "parallel calls": noTools,
      reasoning: "thoughts are text like any other",
    },
    kinds: { 500: UpstreamErrorKind.UNAVAILABLE },
    missingCredential: { names: "AWS_ACCESS_KEY_ID" },
  },
];
