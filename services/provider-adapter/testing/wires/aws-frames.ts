import type { Wire } from "../conformance-subject.ts";
import { converseEvent, converseException, eventStreamFrame } from "../event-stream-frames.ts";

const streamType = "application/vnd.amazon.eventstream";

/** A wire whose stream comes in the frames of SageMaker: bytes as they are. */
export function inPayloadParts(wire: Wire): Wire {
  const headers = {
    ":event-type": "PayloadPart",
    ":content-type": "application/octet-stream",
    ":message-type": "event",
  };
  return framed(wire, (event) => eventStreamFrame(headers, event));
}

/** A wire whose stream comes in the frames of Bedrock's Invoke: the JSON of each event in base64. */
export function inChunks(wire: Wire): Wire {
  return framed(wire, (event) => {
    const data = /^data: ?(.*)$/m.exec(Buffer.from(event).toString())?.[1] ?? "";
    // The end of OpenAI's stream is the end of the frames.
    return data === "[DONE]"
      ? Buffer.alloc(0)
      : converseEvent("chunk", { bytes: Buffer.from(data).toString("base64") });
  });
}

function framed(wire: Wire, frame: (event: Uint8Array) => Uint8Array): Wire {
  return {
    ...wire,
    streamType,
    stream: (said, ending, model) =>
      wire
        .stream(said, ending, model)
        .map(frame)
        .filter(({ length }) => length > 0),
    failure: (_, message) => ({ message }),
    failedEvent: (message) => converseException("InternalStreamFailure", message),
    unknownEvent: converseEvent("somethingNew", { news: true }),
    brokenEvent: frame(wire.brokenEvent),
    longEvent: (bytes) => frame(wire.longEvent(bytes)),
  };
}
