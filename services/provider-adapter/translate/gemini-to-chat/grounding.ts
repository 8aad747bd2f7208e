import type { JsonObject } from "../../provider.ts";
import { listOf, numberOf, objectOf, objectsOf, textOf } from "../json-reading.ts";

/** Members of a candidate that a chat message has no place for, and their names among the baggage. */
const carried: Readonly<Record<string, string>> = {
  groundingMetadata: "grounding_metadata",
  citationMetadata: "citation_metadata",
  urlContextMetadata: "url_context_metadata",
  safetyRatings: "safety_ratings",
};

/** What of a candidate travels as `provider_specific_fields`. */
export function carriedFields(candidate: JsonObject): JsonObject {
  const fields: JsonObject = {};
  for (const [from, to] of Object.entries(carried)) {
    const value = candidate[from];
    if (value !== undefined && value !== null) fields[to] = value;
  }
  return fields;
}

/**
 * The web pages that support an answer, as OpenAI's annotations. Gemini counts its segments in bytes of UTF-8, OpenAI in
 * characters. https://ai.google.dev/api/generate-content#Segment
 */
export function groundingAnnotations(grounding: JsonObject, content: string): JsonObject[] {
  const chunks = objectsOf(grounding.groundingChunks);
  const supports = objectsOf(grounding.groundingSupports);
  if (chunks.length === 0 || supports.length === 0) return [];
  const bytes = Buffer.from(content);
  return supports.flatMap((support) => {
    const segment = objectOf(support.segment);
    const start = bytes.toString("utf8", 0, numberOf(segment.startIndex)).length;
    const end = bytes.toString("utf8", 0, numberOf(segment.endIndex)).length;
    return listOf(support.groundingChunkIndices).flatMap((index) => {
      const web = objectOf(chunks[numberOf(index)]?.web);
      if (textOf(web.uri) === "") return [];
      const citation = { url: textOf(web.uri), title: textOf(web.title), start_index: start, end_index: end };
      return [{ type: "url_citation", url_citation: citation }];
    });
  });
}
