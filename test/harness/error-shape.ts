import assert from "node:assert/strict";
import { z } from "zod";
import type { Dialect } from "./provider-answers.ts";
import type { RawAnswer } from "./raw-request.ts";

const openai = z.object({
  error: z.looseObject({ message: z.string(), type: z.string(), param: z.string().nullable(), code: z.string() }),
});
const anthropic = z.object({
  type: z.literal("error"),
  error: z.looseObject({ type: z.string(), message: z.string() }),
  request_id: z.string(),
});

/** An error as a client of either dialect reads it. `param` and `code` are OpenAI's. */
export interface ReadError {
  readonly message: string;
  readonly type: string;
  readonly param?: string | null;
  readonly code?: string;
}

/** Reads the JSON of an error in its dialect's shape; fails where it is not of that shape or tells too much. */
export function readError(text: string, dialect: Dialect, secrets: readonly string[]): ReadError {
  assertTellsNothing(text, secrets);
  const parsed: unknown = JSON.parse(text);
  return dialect === "openai" ? openai.parse(parsed).error : anthropic.parse(parsed).error;
}

/** The same for a whole answer, with what has to stand in its head. */
export function readErrorAnswer(answer: RawAnswer, dialect: Dialect, secrets: readonly string[]): ReadError {
  assert.equal(answer.headers["content-type"], "application/json");
  const callId = answer.headers["x-litellm-call-id"];
  assert.ok(callId, "there is no call id");
  assertTellsNothing(JSON.stringify(answer.headers), secrets);
  const error = readError(answer.text, dialect, secrets);
  if (dialect === "anthropic") assert.equal(anthropic.parse(JSON.parse(answer.text)).request_id, callId);
  return error;
}

/** No stack trace, no path of this machine, no secret. */
export function assertTellsNothing(text: string, secrets: readonly string[]): void {
  assert.doesNotMatch(text, /\n\s+at |\\n\s+at |node_modules|node:internal|\.ts:\d+/, "a stack trace");
  for (const secret of secrets) assert.ok(!text.includes(secret), `a secret: ${text.slice(0, 2000)}`);
}
