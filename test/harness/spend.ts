import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { GatewayProcess } from "./gateway-process.ts";

const rowSchema = z.looseObject({
  request_id: z.string(),
  record_id: z.string(),
  usage_status: z.string(),
  cost_nano_usd: z.number(),
  cost_state: z.string(),
  stream: z.boolean(),
  prompt_tokens: z.number(),
  completion_tokens: z.number(),
  usage_estimated: z.boolean(),
});
export type SpendRow = z.output<typeof rowSchema>;

/** The spend rows of a key, once there are `count` of them; fails when there are more, or not enough after a while. */
export async function spendRows(
  gateway: Pick<GatewayProcess, "request">,
  key: string,
  count: number,
): Promise<SpendRow[]> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const response = await gateway.request(`/spend/logs?limit=1000&api_key=${key}`).catch(() => undefined);
    const rows = response?.ok === true ? z.array(rowSchema).parse(await response.json()) : [];
    if (rows.length > count) throw new Error(`${rows.length} spend rows instead of ${count}`);
    if (rows.length === count && response?.ok === true) return rows;
    if (Date.now() > deadline) throw new Error(`${rows.length} spend rows after 30 s instead of ${count}`);
    await sleep(100);
  }
}

/** Makes a virtual key. */
export async function generateKey(
  gateway: Pick<GatewayProcess, "request">,
  fields: Record<string, unknown> = {},
): Promise<string> {
  const response = await gateway.request("/key/generate", { body: fields });
  if (!response.ok) throw new Error(`no key: ${response.status} ${await response.text()}`);
  return z.object({ key: z.string() }).parse(await response.json()).key;
}
