import type { AnswerHeaders } from "../answer-head.ts";
import type { HttpClient, HttpClientOptions } from "../http-client.ts";
import type { ExchangeListener, HttpExchange } from "../http-exchange.ts";
import type { HttpRequest } from "../request-head.ts";

export const limits: HttpClientOptions = {
  maxConnections: 10,
  connectTimeoutMs: 5000,
  headTimeoutMs: 5000,
  bodyTimeoutMs: 5000,
  keepAliveMs: 5000,
  maxHeadBytes: 16 * 1024,
};

/** One request and what has become of it. */
export class Asked implements ExchangeListener {
  status = 0;
  headers: AnswerHeaders = {};
  body = "";
  error: (Error & { readonly code?: string }) | undefined;
  /** How often the end or a failure was told. */
  outcomes = 0;
  /** The answer has begun; it is over, well or badly. */
  readonly begun = Promise.withResolvers<void>();
  readonly over = Promise.withResolvers<void>();
  readonly exchange: HttpExchange;

  constructor(client: HttpClient, origin: string, request: Partial<HttpRequest> = {}) {
    this.exchange = client.send({ origin, method: "GET", path: "/", headers: {}, ...request }, this);
  }

  head(status: number, headers: AnswerHeaders): void {
    this.status = status;
    this.headers = headers;
    this.begun.resolve();
  }

  data(piece: Buffer): void {
    this.body += piece.toString("latin1");
  }

  end(): void {
    this.outcomes += 1;
    this.over.resolve();
  }

  fail(error: Error): void {
    this.error = error;
    this.outcomes += 1;
    this.over.resolve();
  }
}

/** Asks, and waits for the end. */
export async function ask(client: HttpClient, origin: string, request: Partial<HttpRequest> = {}): Promise<Asked> {
  const asked = new Asked(client, origin, request);
  await asked.over.promise;
  return asked;
}
