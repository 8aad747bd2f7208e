import type { HttpCall } from "../http-call.ts";

/** https://prometheus.io/docs/instrumenting/exposition_formats/ */
export function showMetrics(metrics: () => Promise<string>) {
  return async (call: HttpCall): Promise<void> => {
    call.send(200, "text/plain; version=0.0.4; charset=utf-8", await metrics());
  };
}
