import type { Wire } from "../conformance-subject.ts";
import { eventStreamFrame } from "../event-stream-frames.ts";
import { openAiWire } from "./openai.ts";

const partHeaders = {
  ":event-type": "PayloadPart",
  ":content-type": "application/octet-stream",
  ":message-type": "event",
};
const part = (bytes: Uint8Array) => eventStreamFrame(partHeaders, bytes);

/**
 * A container that speaks OpenAI's format behind SageMaker, whose stream carries the container's bytes in parts of its own:
 * https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointWithResponseStream.html
 */
export const sagemakerChatWire: Wire = {
  ...openAiWire,
  streamType: "application/vnd.amazon.eventstream",
  stream: (said, ending, model) => openAiWire.stream(said, ending, model).map(part),
  failure: (_, message) => ({ Message: message }),
  failedEvent: (message) =>
    eventStreamFrame(
      { ":exception-type": "ModelStreamError", ":content-type": "application/json", ":message-type": "exception" },
      Buffer.from(JSON.stringify({ Message: message })),
    ),
  unknownEvent: part(openAiWire.unknownEvent ?? new Uint8Array()),
  brokenEvent: part(openAiWire.brokenEvent),
  longEvent: (bytes) => part(openAiWire.longEvent(bytes)),
};
