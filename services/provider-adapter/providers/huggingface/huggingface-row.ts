import { ownOpenAiRow } from "#catalog/catalog.ts";
import { providerId } from "./upstream-request.ts";

/** How Hugging Face's router, and an endpoint of one's own, speak OpenAI's format. */
export const huggingFaceRow = ownOpenAiRow({
  id: providerId,
  base_url: "https://router.huggingface.co/v1",
  key_variables: ["HF_TOKEN"],
  root_path: "/v1",
  paths: { chat_completions: "chat/completions", responses: "responses" },
});
