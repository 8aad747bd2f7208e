import type { JsonObject } from "../../provider.ts";
import { type Said, type StreamEnding, saidUsage, type Wire } from "../conformance-subject.ts";
import { piecesOf, sseEvent } from "./server-sent-event.ts";
import { ibmFailure } from "./watsonx.ts";

const stopReasons = { stop: "eos_token", length: "max_tokens", tool_calls: "eos_token" } as const;

function result(text: string, stopReason: string, input: number, output: number): JsonObject {
  const counts = { generated_token_count: output, input_token_count: input };
  return { results: [{ generated_text: text, stop_reason: stopReason, ...counts }] };
}

function stream(said: Said, ending: StreamEnding, model: string): Uint8Array[] {
  const event = (told: JsonObject) => sseEvent({ model_id: model, ...told }, "message");
  const events = [
    event(result("", "not_finished", saidUsage.input, 0)),
    ...piecesOf(said.text).map((piece) => event(result(piece, "not_finished", 0, 1))),
  ];
  if (ending === "no finish") return events;
  const closing = event(result("", stopReasons[said.finish], 0, saidUsage.output));
  return [...events, closing, ...(ending === "two finishes" ? [closing] : [])];
}

const prompt = "What is the weather in Paris?";

/** IBM's text generation, https://cloud.ibm.com/apidocs/watsonx-ai#text-generation */
export const watsonxTextWire: Wire = {
  streamType: "text/event-stream",
  whole: ({ text, finish }, model) => ({
    model_id: model,
    ...result(text, stopReasons[finish], saidUsage.input, saidUsage.output),
  }),
  stream,
  failure: ibmFailure,
  failedEvent: (message) => sseEvent(ibmFailure(500, message), "error"),
  unknownEvent: sseEvent({ model_id: "m", news: true }, "news"),
  brokenEvent: Buffer.from('event: message\ndata: {"results":[{"generated_text":\n\n'),
  longEvent: (bytes) => sseEvent(result("x".repeat(bytes), "not_finished", 0, 1), "message"),
  empty: [{ model_id: "m", results: [] }, {}],
  metered: [saidUsage.input, 0, saidUsage.output, 0],
  sends: {
    text: {
      input: `Be brief.\n\nUser: ${prompt}\nAssistant:`,
      parameters: { temperature: 0.5, stop_sequences: ["END"], max_new_tokens: 100, decoding_method: "sample" },
    },
    tools: {},
    "no tools": {},
    "a needed tool": {},
    "a named tool": {},
    "parallel tools": {},
    "tool results": {},
    "image in": {},
    reasoning: {},
    "JSON schema": {},
  },
};
