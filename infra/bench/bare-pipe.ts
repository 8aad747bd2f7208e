import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Pool } from "undici";

/** `node:http` in, undici out, nothing in between: what no gateway on this stack can beat. Usage: bare-pipe.ts ORIGIN */
const pool = new Pool(process.argv[2] ?? "", { connections: 256 });

async function forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { "content-type": type, "content-length": length, authorization } = request.headers;
  await pool.stream(
    {
      method: "POST",
      path: request.url ?? "/",
      headers: { "content-type": type, "content-length": length, authorization },
      body: request,
    },
    ({ statusCode, headers }) => response.writeHead(statusCode, headers),
  );
}

const server = createServer((request, response) => {
  forward(request, response).catch(() => response.destroy());
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") process.stdout.write(`listening ${address.port}\n`);
});
