import { readFileSync } from "node:fs";
import { createSecureServer, createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  InferenceService,
  type InferRequest,
  type InferResponseSchema,
} from "#gen/sluice/inference/v1/inference_service_pb.ts";

export type PeerEvent = MessageInitShape<typeof InferResponseSchema>["event"];
export type PeerScript = (request: InferRequest, context: HandlerContext) => AsyncIterable<PeerEvent>;

/** A service in another process, as far as the adapter can tell: stock gRPC over HTTP/2. */
export interface ScriptedPeer {
  readonly address: string;
  /** The calls that came. */
  readonly requests: InferRequest[];
  readonly metadata: Headers[];
  /** How many connections were made. */
  connections(): number;
  answer(script: PeerScript): void;
  /** Cuts every connection. */
  cut(): void;
  close(): Promise<void>;
}

/** `tls`: it shows a certificate and wants one. */
export async function startScriptedPeer({ tls = false } = {}): Promise<ScriptedPeer> {
  const requests: InferRequest[] = [];
  const metadata: Headers[] = [];
  const sessions = new Set<ServerHttp2Session>();
  let connections = 0;
  let script: PeerScript | undefined;
  const handler = connectNodeAdapter({
    routes: (router) =>
      router.service(InferenceService, {
        async *infer(request, context) {
          requests.push(request);
          metadata.push(context.requestHeader);
          if (script === undefined) return;
          for await (const event of script(request, context)) yield { event };
        },
      }),
  });
  const server = tls ? createSecureServer(serverTls(), handler) : createServer(handler);
  server.on("session", (session) => {
    connections += 1;
    sessions.add(session);
    session.on("close", () => sessions.delete(session)).on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const cut = () => {
    for (const session of sessions) session.destroy();
  };
  return {
    address: `${tls ? "grpcs" : "grpc"}://127.0.0.1:${port}`,
    requests,
    metadata,
    connections: () => connections,
    answer: (next) => {
      script = next;
    },
    cut,
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A file of the certificates that the tests use. They are worth nothing anywhere else. */
export function certificateFile(name: string): string {
  return new URL(`tls/${name}.pem`, import.meta.url).pathname;
}

function serverTls() {
  const read = (name: string) => readFileSync(certificateFile(name));
  return {
    cert: read("server"),
    key: read("server-key"),
    ca: read("authority"),
    requestCert: true,
    rejectUnauthorized: false,
  };
}
