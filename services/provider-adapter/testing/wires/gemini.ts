import type { JsonObject } from "../../provider.ts";
import { onePoint } from "../conformance-cases.ts";
import { type Said, type StreamEnding, saidUsage, type Wire } from "../conformance-subject.ts";
import { piecesOf, sseEvent } from "./server-sent-event.ts";

const finishReasons = { stop: "STOP", length: "MAX_TOKENS", tool_calls: "STOP" } as const;
const usageMetadata = {
  promptTokenCount: saidUsage.input,
  cachedContentTokenCount: saidUsage.cached,
  candidatesTokenCount: saidUsage.output - saidUsage.reasoning,
  thoughtsTokenCount: saidUsage.reasoning,
  totalTokenCount: saidUsage.input + saidUsage.output,
};

function response(parts: JsonObject[], finishReason: string | undefined, model: string): JsonObject {
  const candidate: JsonObject = { index: 0, content: { role: "model", parts } };
  if (finishReason !== undefined) candidate.finishReason = finishReason;
  return { candidates: [candidate], usageMetadata, modelVersion: model, responseId: "response-1" };
}

function callParts({ calls }: Said): JsonObject[] {
  return calls.map(({ id, name, input }) => ({ functionCall: { id, name, args: input } }));
}

function partsOf(said: Said): JsonObject[] {
  return [
    ...(said.reasoning === "" ? [] : [{ text: said.reasoning, thought: true }]),
    ...(said.text === "" ? [] : [{ text: said.text }]),
    ...callParts(said),
  ];
}

function stream(said: Said, ending: StreamEnding, model: string): Uint8Array[] {
  const parts = [
    ...piecesOf(said.reasoning).map((text) => ({ text, thought: true })),
    ...piecesOf(said.text).map((text) => ({ text })),
    ...callParts(said),
  ];
  const events = parts.map((part) => sseEvent(response([part], undefined, model)));
  const closing = sseEvent(response([{ text: "" }], finishReasons[said.finish], model));
  if (ending === "no finish") return events;
  return [...events, closing, ...(ending === "two finishes" ? [closing] : [])];
}

const tools = [{ functionDeclarations: [{ name: "weather", description: "Tells the weather." }] }];
const choice = (mode: string) => ({ toolConfig: { functionCallingConfig: { mode } } });

/** Gemini's generateContent, https://ai.google.dev/api/generate-content. */
export const geminiWire: Wire = {
  streamType: "text/event-stream",
  whole: (said, model) => response(partsOf(said), finishReasons[said.finish], model),
  stream,
  failure: (status, message) => ({ error: { code: status, message, status: "SOME_STATUS" } }),
  failedEvent: (message) => sseEvent({ error: { code: 500, message, status: "INTERNAL" } }),
  unknownEvent: sseEvent({ news: true, usageMetadata }),
  brokenEvent: Buffer.from('data: {"candidates":[{"content":\n\n'),
  longEvent: (bytes) => sseEvent(response([{ text: "x".repeat(bytes) }], undefined, "m")),
  empty: [{ candidates: [], usageMetadata }, {}],
  metered: [saidUsage.input - saidUsage.cached, saidUsage.cached, saidUsage.output, saidUsage.reasoning],
  sends: {
    text: {
      systemInstruction: { parts: [{ text: "Be brief." }] },
      contents: [{ role: "user", parts: [{ text: "What is the weather in Paris?" }] }],
      generationConfig: { temperature: 0.5, stopSequences: ["END"], maxOutputTokens: 100 },
    },
    tools: { tools, ...choice("AUTO") },
    "no tools": { tools, ...choice("NONE") },
    "a needed tool": { tools, ...choice("ANY") },
    "a named tool": { toolConfig: { functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["weather"] } } },
    "parallel tools": { tools },
    "tool results": {
      contents: [
        { role: "user" },
        { role: "model", parts: [{ functionCall: { name: "weather" } }, { functionCall: { name: "weather" } }] },
        {
          role: "user",
          parts: [{ functionResponse: { name: "weather" } }, { functionResponse: { name: "weather" } }],
        },
      ],
      tools,
    },
    "image in": {
      contents: [{ parts: [{ text: "What is this?" }, { inlineData: { mimeType: "image/png", data: onePoint } }] }],
    },
    reasoning: { generationConfig: { thinkingConfig: { includeThoughts: true } } },
    "JSON schema": { generationConfig: { responseMimeType: "application/json" } },
  },
};
