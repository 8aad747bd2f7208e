import type { JsonObject } from "../../provider.ts";
import { parseObject } from "../../translate/json-reading.ts";
import { readEventData } from "../../translate/sse-event.ts";
import { chatRequests } from "../conformance-cases.ts";
import type { RequestCase, Wire } from "../conformance-subject.ts";
import { openAiWire } from "./openai.ts";
import { sseEvent } from "./server-sent-event.ts";

function wrapped(event: Uint8Array): Uint8Array {
  const chunk = parseObject(readEventData(event) ?? "");
  return chunk === undefined ? event : sseEvent({ request_id: "r1", final_result: chunk });
}

function sent({ messages, tools, response_format: format, ...params }: JsonObject): JsonObject {
  const prompt: JsonObject = { template: messages ?? [] };
  if (tools !== undefined) prompt.tools = tools;
  if (format !== undefined) prompt.response_format = format;
  return { config: { modules: { prompt_templating: { prompt, model: { name: "gpt-4o", params } } } } };
}

const sends = Object.fromEntries(Object.entries(chatRequests).map(([name, body]) => [name, sent(body)]));

/** SAP's orchestration service, https://api.sap.com/api/ORCHESTRATION_API: OpenAI's format inside its own. */
export const sapWire: Wire = {
  ...openAiWire,
  whole: (said, model) => ({ request_id: "r1", final_result: openAiWire.whole(said, model) }),
  stream: (said, ending, model) => openAiWire.stream(said, ending, model).map(wrapped),
  failure: (status, message) => ({ error: { request_id: "r1", code: status, message, location: "LLM Module" } }),
  failedEvent: (message) => sseEvent({ error: { request_id: "r1", code: 500, message, location: "LLM Module" } }),
  unknownEvent: sseEvent({ request_id: "r1", intermediate_results: { news: {} } }),
  longEvent: (bytes) => wrapped(openAiWire.longEvent(bytes)),
  empty: [...openAiWire.empty.map((answer) => ({ request_id: "r1", final_result: answer })), {}],
  sends: { ...openAiWire.sends, ...(sends satisfies Partial<Record<RequestCase, JsonObject>>) },
};
