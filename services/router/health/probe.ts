import { randomUUID } from "node:crypto";
import { create, type JsonObject } from "@bufbuild/protobuf";
import { type Client, ConnectError } from "@connectrpc/connect";
import { CallerKind, Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { type InferenceService, InferRequestSchema } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { Deployment } from "../registry/deployment.ts";

/** How to ask a deployment. */
export interface ProbePlan {
  /** Undefined where nobody can be asked: a pattern without a model to ask. */
  readonly deployment: Deployment | undefined;
  readonly mode: string;
  readonly timeoutMs: number;
  readonly maxTokens: number;
  /** Aborts it: nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

export interface ProbeResult {
  /** What went wrong; undefined where it has answered. */
  readonly error: string | undefined;
  readonly responseMs: number;
}

const maxErrorLength = 500;
const question = "Hi";
/** They refuse `max_tokens` for models that think. */
const newLimitField = new Set(["openai", "azure"]);

/** What is asked in each mode. Others cannot be asked yet. */
const questions: Readonly<Record<string, readonly [Operation, (limit: JsonObject) => JsonObject]>> = {
  chat: [Operation.CHAT_COMPLETIONS, (limit) => ({ messages: [{ role: "user", content: question }], ...limit })],
  completion: [Operation.COMPLETIONS, (limit) => ({ prompt: question, max_tokens: limit.max_tokens ?? 5 })],
  responses: [Operation.RESPONSES, () => ({ input: question, max_output_tokens: 16 })],
  embedding: [Operation.EMBEDDINGS, () => ({ input: [question] })],
  rerank: [Operation.RERANK, () => ({ query: question, documents: [question], top_n: 1 })],
};

/** Asks a deployment one small question, past admission and routing. Never rejects. */
export async function probe(inference: Client<typeof InferenceService>, plan: ProbePlan): Promise<ProbeResult> {
  const begun = performance.now();
  let error: string | undefined;
  try {
    error = await ask(inference, plan);
  } catch (thrown) {
    error = ConnectError.from(thrown).rawMessage.slice(0, maxErrorLength) || "it does not answer";
  }
  return { error, responseMs: Math.round(performance.now() - begun) };
}

async function ask(inference: Client<typeof InferenceService>, plan: ProbePlan): Promise<string | undefined> {
  const { deployment, mode, timeoutMs, maxTokens } = plan;
  if (deployment === undefined) return "a pattern needs model_info.health_check_model to be checked";
  if (deployment.missingVariable !== undefined) return `${deployment.missingVariable} is not set`;
  const found = Object.hasOwn(questions, mode) ? questions[mode] : undefined;
  if (found === undefined) return `the mode '${mode}' cannot be checked yet`;
  const [operation, bodyOf] = found;
  const { target, provider } = deployment;
  const limit = { [newLimitField.has(provider) ? "max_completion_tokens" : "max_tokens"]: maxTokens };
  const request = create(InferRequestSchema, {
    callId: randomUUID(),
    operation,
    model: target.model,
    contentType: "application/json",
    body: new TextEncoder().encode(JSON.stringify({ model: target.model, ...bodyOf(limit) })),
    caller: { kind: CallerKind.MASTER },
    shape: { inputTokens: 1, choices: 1 },
  });
  const patience = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([patience, plan.signal]);
  try {
    for await (const { event } of inference.infer(
      { ...request, target: { ...target, dropParams: true } },
      { signal },
    )) {
      if (event.case === "finished") return undefined;
    }
    return "the answer has no end";
  } catch (thrown) {
    if (patience.aborted) return `no answer within ${timeoutMs / 1000} seconds`;
    throw thrown;
  }
}
