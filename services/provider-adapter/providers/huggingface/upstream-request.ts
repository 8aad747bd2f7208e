import type { JsonObject, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { bearerRequest } from "../bearer-request.ts";

export const providerId = "huggingface";

const routerAddress = "https://router.huggingface.co";

/** A task of a model: embeddings, or the relevance of texts. */
export type HuggingFaceTask = "feature-extraction" | "rerank";

/**
 * The request of a task: at Hugging Face's own inference by the model's name, or at an endpoint of one's own, which has one
 * model. https://huggingface.co/docs/inference-providers/tasks/feature-extraction
 */
export function upstreamRequest(call: ProviderCall, task: HuggingFaceTask, body: JsonObject): UpstreamRequest {
  const key = { id: providerId, ...(call.baseUrl === "" ? { keyVariable: "HF_TOKEN" } : {}) };
  return bearerRequest(call, key, addressOf(call, task), body);
}

function addressOf({ baseUrl, model }: ProviderCall, task: HuggingFaceTask): string {
  if (baseUrl !== "" && !baseUrl.startsWith(routerAddress)) {
    const base = baseUrl.replace(/\/(?:v1|embed|rerank)$/, "");
    return task === "rerank" ? `${base}/rerank` : base;
  }
  const name = model
    .replace(/^hf-inference\//, "")
    .split("/")
    .map(encodeURIComponent)
    .join("/");
  return `${routerAddress}/hf-inference/models/${name}/pipeline/${task === "rerank" ? "text-ranking" : task}`;
}
