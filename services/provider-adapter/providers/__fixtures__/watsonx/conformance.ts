import { chatRequests } from "../../../testing/conformance-cases.ts";
import type { ConformanceSubject } from "../../../testing/conformance-subject.ts";
import { watsonxWire } from "../../../testing/wires/watsonx.ts";
import { without } from "../../../translate/json-reading.ts";

const { tools, parallel, needed, none } = {
  tools: chatRequests.tools,
  parallel: chatRequests["parallel tools"],
  needed: chatRequests["a needed tool"],
  none: chatRequests["no tools"],
};

export const subjects: readonly ConformanceSubject[] = [
  {
    model: "ibm/granite-4-h-small",
    wire: watsonxWire,
    credential: '{"token":"watsonx-conformance-token"}',
    settings: { project_id: "project" },
    paths: { whole: "/ml/v1/text/chat?version=2024-03-13", stream: "/ml/v1/text/chat_stream?version=2024-03-13" },
    authorization: ["authorization", "Bearer watsonx-conformance-token"],
    sends: {
      tools: { ...without(tools, "tool_choice"), tool_choice_option: "auto" },
      "no tools": { ...without(none, "tool_choice"), tool_choice_option: "none" },
      "a needed tool": { ...without(needed, "tool_choice"), tool_choice_option: "required" },
      "parallel tools": without(parallel, "parallel_tool_calls"),
    },
    missingCredential: { names: "WATSONX_APIKEY", base: "https://us-south.ml.cloud.ibm.com" },
  },
];
