import type { Wire } from "../conformance-subject.ts";
import { openAiWire } from "./openai.ts";
import { sseEvent } from "./server-sent-event.ts";

/** IBM's errors: https://cloud.ibm.com/apidocs/watsonx-ai#error-handling */
export const ibmFailure = (status: number, message: string) => ({
  errors: [{ code: "error", message }],
  trace: "1",
  status_code: status,
});

/** IBM's chat: OpenAI's, in events with a name, and with errors of its own. https://cloud.ibm.com/apidocs/watsonx-ai#text-chat */
export const watsonxWire: Wire = {
  ...openAiWire,
  stream: (said, ending, model) =>
    openAiWire
      .stream(said, ending, model)
      .filter((event) => !Buffer.from(event).includes("[DONE]"))
      .map((event, index) => Buffer.concat([Buffer.from(`id: ${index + 1}\nevent: message\n`), event])),
  failure: ibmFailure,
  failedEvent: (message) => sseEvent(ibmFailure(500, message), "error"),
};
