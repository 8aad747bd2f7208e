import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";

/** One connection as the server has it. */
export interface RawConnection {
  readonly socket: Socket;
  /** What came so far, in Latin-1. */
  received: string;
  isClosed: boolean;
}

/** A server that sends exact bytes. */
export interface RawServer {
  readonly origin: string;
  readonly port: number;
  /** Every connection so far. */
  readonly connections: readonly RawConnection[];
  close(): Promise<void>;
}

/** Hears of every request whose head has come; with a body, of what has come with it. `count`: from 1 on each connection. */
export type Script = (socket: Socket, count: number, connection: RawConnection) => void;

export async function startRawServer(script: Script, tls?: TlsOptions): Promise<RawServer> {
  const connections: RawConnection[] = [];
  const accept = (socket: Socket) => {
    const connection = { socket, received: "", isClosed: false };
    connections.push(connection);
    let count = 0;
    socket.on("data", (bytes: Buffer) => {
      const text = bytes.toString("latin1");
      connection.received += text;
      for (const _ of text.matchAll(/(?:GET|POST|HEAD) \S+ HTTP\/1\.1\r\n/g)) {
        count += 1;
        script(socket, count, connection);
      }
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      connection.isClosed = true;
    });
  };
  const server: Server = tls === undefined ? createServer(accept) : createTlsServer(tls, accept);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    origin: `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    port,
    connections,
    async close() {
      for (const { socket } of connections) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
