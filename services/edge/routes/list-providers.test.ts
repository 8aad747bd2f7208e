import assert from "node:assert/strict";
import { test } from "node:test";
import { send } from "../testing/raw-http.ts";
import { startTestEdge } from "../testing/scripted-mesh.ts";

test("anybody may ask which providers there are, and learns what to set and nothing that is set", async () => {
  const edge = await startTestEdge();
  try {
    const answer = await send(`${edge.url}/public/providers`);
    assert.equal(answer.status, 200);
    const providers: { id: string }[] = JSON.parse(answer.text);
    const ids = providers.map(({ id }) => id);
    assert.deepEqual(ids, [...ids].sort());
    assert.deepEqual(
      providers.find(({ id }) => id === "groq"),
      {
        id: "groq",
        name: "Groq",
        note: "",
        aliases: [],
        kind: "openai",
        operations: ["chat_completions", "responses", "messages", "generate_content"],
        base_url: "https://api.groq.com/openai/v1",
        needs_key: true,
        key_variables: ["GROQ_API_KEY"],
        base_url_variables: ["GROQ_API_BASE", "GROQ_BASE_URL"],
        settings: [],
        unsupported_params: ["logit_bias", "logprobs", "top_logprobs", "functions", "function_call"],
      },
    );
  } finally {
    await edge.stop();
  }
});
