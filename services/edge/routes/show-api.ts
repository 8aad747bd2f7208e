import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { EdgeContext } from "../context.ts";
import type { HttpCall } from "../http-call.ts";
import { openApiDocument } from "../openapi/document.ts";

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sluice</title>
<link rel="stylesheet" href="/api-page/swagger-ui.css">
<div id="api"></div>
<script src="/api-page/swagger-ui-bundle.js"></script>
<script src="/api-page/start.js"></script>
</html>
`;

const start = `SwaggerUIBundle({ url: "/openapi.json", dom_id: "#api", deepLinking: true, docExpansion: "none",
  persistAuthorization: false, validatorUrl: null });
`;

/** Nothing from elsewhere is loaded, and no other page may hold this one in a frame: a key is typed into it. */
const policy =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'";

const types: Readonly<Record<string, string>> = {
  "swagger-ui.css": "text/css; charset=utf-8",
  "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
};

/** The interactive page of the API. It needs a script's permission to run and nothing from any other server. */
export function showApiPage(call: HttpCall): void {
  call.send(200, "text/html; charset=utf-8", page, ["content-security-policy", policy]);
}

/** The files of the page: those of the viewer, and the line that starts it. */
export async function showApiPageFile(call: HttpCall): Promise<void> {
  const name = call.pathParameter;
  if (name === "start.js") return call.send(200, "text/javascript; charset=utf-8", start);
  const type = Object.hasOwn(types, name) ? types[name] : undefined;
  if (type === undefined) throw gatewayError(Reason.NOT_FOUND, "Not Found: the page has no such file.");
  const file = await readFile(fileURLToPath(import.meta.resolve(`swagger-ui-dist/${name}`)));
  call.send(200, type, file.toString(), ["cache-control", "public, max-age=3600"]);
}

/** The OpenAPI document, written when it is first asked for: most gateways never are. */
export function showOpenApi({ clients, config }: EdgeContext) {
  let document: string | undefined;
  return (call: HttpCall): void => {
    document ??= JSON.stringify(openApiDocument(clients.rest, config.version));
    call.send(200, "application/json", document);
  };
}
