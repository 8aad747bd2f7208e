import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { chatRequests } from "../../../testing/conformance-cases.ts";
import { openAiWire } from "../../../testing/wires/openai.ts";
import { without } from "../../../translate/json-reading.ts";

const path = "/cortex/v1/chat/completions";

export const subjects: readonly ConformanceSubject[] = [
  {
    model: "llama3.1-8b",
    wire: openAiWire,
    credential: "snowflake-conformance-key",
    settings: { account_id: "organization-account" },
    paths: { whole: path, stream: path },
    authorization: ["authorization", "Bearer snowflake-conformance-key"],
    sends: { text: { ...without(chatRequests.text, "max_tokens"), max_completion_tokens: 100 } },
    missingCredential: { names: "SNOWFLAKE_JWT" },
  },
];
