import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { sapWire } from "../../../testing/wires/sap.ts";

const path = "/v2/inference/deployments/d1/v2/completion";

export const subjects: readonly ConformanceSubject[] = [
  {
    model: "gpt-4o",
    wire: sapWire,
    credential: "sap-conformance-token",
    base: "/v2/inference/deployments/d1",
    paths: { whole: path, stream: path },
    authorization: ["authorization", "Bearer sap-conformance-token"],
    missingCredential: { names: "AICORE_SERVICE_KEY" },
  },
];
