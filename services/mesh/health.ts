import type { IncomingMessage, ServerResponse } from "node:http";
import { Client } from "undici";
import type { Certificates } from "#chassis/tls/certificates.ts";
import type { HealthReport } from "../edge/context.ts";
import type { MeshConfig } from "./config.ts";
import type { State } from "./state.ts";

const askMs = 800;

/** What a process says of itself over HTTP, to probes, to Prometheus, and to an edge that has no database of its own. */
export class ProcessHealth {
  readonly #state: State;
  readonly #authAddress: string | undefined;
  readonly #certificates: Certificates | undefined;

  constructor(state: State, config: MeshConfig, certificates: Certificates | undefined) {
    this.#state = state;
    this.#certificates = certificates;
    this.#authAddress = config.addresses.get("auth")?.[0];
  }

  readonly report = async (): Promise<HealthReport> => {
    const own = await this.#state.healthy();
    const healthy = own ?? (await this.#askAuth());
    return { ready: true, db: healthy ? "connected" : "unavailable" };
  };

  /** Answers `/health/…` and `/metrics` on a port for peers. */
  handler(scrape: () => Promise<string>): (request: IncomingMessage, response: ServerResponse) => void {
    return (incoming, response) => {
      void this.#answer(incoming.url ?? "", scrape).then(
        ({ status, type, body }) => response.writeHead(status, { "content-type": type }).end(body),
        () => response.writeHead(500).end(),
      );
    };
  }

  async #answer(path: string, scrape: () => Promise<string>) {
    if (path === "/metrics") return { status: 200, type: "text/plain; version=0.0.4", body: await scrape() };
    if (/^\/health\/live(li)?ness$/.test(path)) return json(200, "I'm alive!");
    if (path !== "/health/readiness") return json(404, { error: "not found" });
    const { db } = await this.report();
    return json(200, { status: "healthy", db });
  }

  async #askAuth(): Promise<boolean> {
    if (this.#authAddress === undefined) return true;
    const { origin, hostname } = new URL(this.#authAddress);
    const connect = this.#certificates?.connector(hostname);
    const client = new Client(origin, connect && { connect });
    try {
      const signal = AbortSignal.timeout(askMs);
      const { body } = await client.request({ method: "GET", path: "/health/readiness", signal });
      return (await body.text()).includes('"db":"connected"');
    } catch {
      return false;
    } finally {
      await client.destroy();
    }
  }
}

function json(status: number, value: unknown) {
  return { status, type: "application/json", body: JSON.stringify(value) };
}
