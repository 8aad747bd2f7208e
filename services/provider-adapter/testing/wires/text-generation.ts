import { type Said, type StreamEnding, saidUsage, type Wire } from "../conformance-subject.ts";
import { piecesOf, sseEvent } from "./server-sent-event.ts";

const reasons = { stop: "eos_token", length: "length", tool_calls: "eos_token" } as const;
const details = ({ finish }: Said) => ({
  finish_reason: reasons[finish],
  generated_tokens: saidUsage.output,
  input_length: saidUsage.input,
});
const token = (text: string) => ({ id: 1, text, logprob: -0.1, special: false });

function stream(said: Said, ending: StreamEnding): Uint8Array[] {
  const events = piecesOf(said.text).map((text) =>
    sseEvent({ token: token(text), generated_text: null, details: null }),
  );
  if (ending === "no finish") return events;
  const closing = sseEvent({
    token: { ...token("</s>"), special: true },
    generated_text: said.text,
    details: details(said),
  });
  return [...events, closing, ...(ending === "two finishes" ? [closing] : [])];
}

/** Hugging Face's server for texts, https://huggingface.co/docs/text-generation-inference/reference/api_reference */
export const textGenerationWire: Wire = {
  streamType: "text/event-stream",
  whole: (said) => ({ generated_text: said.text, details: details(said) }),
  stream,
  failure: (_, message) => ({ message }),
  failedEvent: (message) => sseEvent({ error: message, error_type: "generation" }),
  unknownEvent: sseEvent({ news: true }),
  brokenEvent: Buffer.from('data:{"token":{"id":\n\n'),
  longEvent: (bytes) => sseEvent({ token: token("x".repeat(bytes)), generated_text: null, details: null }),
  empty: [{ generated_text: null }, {}],
  metered: [saidUsage.input, 0, saidUsage.output, 0],
  sends: {
    text: {
      inputs: "Be brief.\nWhat is the weather in Paris?\n",
      parameters: { temperature: 0.5, stop: ["END"], max_new_tokens: 100 },
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
