import type { JsonObject } from "../../provider.ts";
import { numberOf, objectOf, objectsOf, textOf } from "../json-reading.ts";

/**
 * OpenAI's annotations with an address as Gemini's `groundingMetadata`; undefined where there are none. Gemini counts its
 * segments in bytes of UTF-8, OpenAI in characters. https://ai.google.dev/api/generate-content#GroundingMetadata
 */
export function groundingMetadata(annotations: readonly JsonObject[], content: string): JsonObject | undefined {
  const cited = annotations.map(({ url_citation }) => objectOf(url_citation)).filter(({ url }) => textOf(url) !== "");
  if (cited.length === 0) return undefined;
  const pages = [...new Map(cited.map((citation) => [textOf(citation.url), citation])).entries()];
  const addresses = pages.map(([url]) => url);
  return {
    groundingChunks: pages.map(([uri, { title }]) => ({ web: { uri, title: textOf(title) } })),
    groundingSupports: cited.map((citation) => ({
      segment: segment(content, numberOf(citation.start_index), numberOf(citation.end_index)),
      groundingChunkIndices: [addresses.indexOf(textOf(citation.url))],
    })),
  };
}

function segment(content: string, start: number, end: number): JsonObject {
  const before = Buffer.byteLength(content.slice(0, start));
  const text = content.slice(start, end);
  return { startIndex: before, endIndex: before + Buffer.byteLength(text), text };
}

/** OpenAI's entries of `logprobs.content` as a `logprobsResult`, https://ai.google.dev/api/generate-content#LogprobsResult */
export function logprobsResult(entries: readonly JsonObject[]): JsonObject {
  const candidate = ({ token, logprob }: JsonObject) => ({ token: textOf(token), logProbability: numberOf(logprob) });
  return {
    chosenCandidates: entries.map(candidate),
    topCandidates: entries.map(({ top_logprobs }) => ({ candidates: objectsOf(top_logprobs).map(candidate) })),
  };
}
