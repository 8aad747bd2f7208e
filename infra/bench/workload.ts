/** The requests that are sent. The fake provider reads from the model what to answer (upstream-knobs.ts). */

/** Token events of a stream in the throughput scenario. */
export const streamChunks = 100;

export const models = {
  whole: "bench",
  stream: `bench-stream-${streamChunks}`,
  pacedStream: "bench-stream-20-2ms",
} as const;

const system = "You are a careful assistant. Answer briefly, and say so where you do not know.";
const question = "Which of the two figures decides how many requests a gateway carries, and how would you measure it? ";

/** A chat completion request of about half a kilobyte. */
export function wholeRequest(model: string = models.whole): string {
  return request({ model, text: question.repeat(3).trim() });
}

/** The same, answered as a stream. Usage is asked for, as most clients and every gateway that meters do. */
export function streamRequest(model: string): string {
  return request({ model, text: question.repeat(3).trim(), stream: true });
}

/** A prompt of 400 KB, as a long document or a grown conversation makes it. */
export function largeRequest(): string {
  return request({ model: models.whole, text: question.repeat(Math.ceil((400 * 1024) / question.length)) });
}

function request({ model, text, stream }: { model: string; text: string; stream?: boolean }): string {
  return JSON.stringify({
    model,
    messages: [
      { role: "system", content: system },
      { role: "user", content: text },
    ],
    temperature: 0.2,
    max_tokens: 256,
    ...(stream === true ? { stream, stream_options: { include_usage: true } } : {}),
  });
}
