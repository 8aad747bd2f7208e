import type { JsonObject } from "../../provider.ts";
import { objectOf, objectsOf, textOf } from "../json-reading.ts";

/** The order in which a chat message, sent back, is turned into blocks again. */
const rank: Readonly<Record<string, number>> = { thinking: 0, redacted_thinking: 0, text: 1, tool_use: 2 };

/**
 * Whether a chat message cannot hold these blocks, so that they have to travel beside it as
 * `provider_specific_fields.content_blocks`: blocks of other types (server tools and their results, compaction, new
 * ones), citations, a call made by code instead of the model, or an order that a chat message does not keep.
 */
export function needsBaggage(blocks: readonly JsonObject[]): boolean {
  let reached = 0;
  for (const block of blocks) {
    const own = rank[textOf(block.type)];
    if (own === undefined || own < reached) return true;
    reached = own;
    if (objectsOf(block.citations).length > 0) return true;
    const caller = textOf(objectOf(block.caller).type);
    if (caller !== "" && caller !== "direct") return true;
  }
  return false;
}

/** Citations with an address, as OpenAI's annotations; `start` is where the cited text begins in the content. */
export function annotationsOf(block: JsonObject, start: number): JsonObject[] {
  const end = start + textOf(block.text).length;
  return objectsOf(block.citations)
    .filter((citation) => typeof citation.url === "string")
    .map((citation) => ({
      type: "url_citation",
      url_citation: {
        url: textOf(citation.url),
        title: textOf(citation.title),
        start_index: start,
        end_index: end,
      },
    }));
}

/** What of an ending OpenAI's finish reason does not say; undefined where it says everything. */
export function endingFields(ending: JsonObject): JsonObject | undefined {
  const fields: JsonObject = {};
  const reason = textOf(ending.stop_reason);
  if (reason === "pause_turn" || reason === "model_context_window_exceeded") fields.stop_reason = reason;
  if (textOf(ending.stop_sequence) !== "") fields.stop_sequence = textOf(ending.stop_sequence);
  const details = objectOf(ending.stop_details);
  if (Object.keys(details).length > 0) fields.stop_details = details;
  for (const name of ["container", "context_management"]) {
    const value = objectOf(ending[name]);
    if (Object.keys(value).length > 0) fields[name] = value;
  }
  return Object.keys(fields).length > 0 ? fields : undefined;
}
