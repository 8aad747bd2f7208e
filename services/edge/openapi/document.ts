import type { DescMethod } from "@bufbuild/protobuf";
import { getOption } from "@bufbuild/protobuf";
import { type HttpRule, http as httpOption } from "#gen/sluice/rest/v1/rest_pb.ts";
import { fieldRule } from "../rest/field-rule.ts";
import type { RestBinding } from "../rest/rest-binding.ts";
import comments from "./comments.json" with { type: "json" };
import type { Comments } from "./comments.ts";
import { type JsonSchema, SchemaBook } from "./json-schema.ts";
import { modelPaths } from "./model-paths.ts";

const contract: Comments = comments;

type PathItems = Record<string, Record<string, JsonSchema>>;

/**
 * The OpenAPI 3.1 description of everything the edge answers: the model paths, and every path that an RPC of the bound
 * services declares.
 */
export function openApiDocument(bindings: readonly RestBinding[], version: string): JsonSchema {
  const book = new SchemaBook(contract);
  const paths: PathItems = modelPaths();
  for (const { service } of bindings) {
    for (const method of service.methods) {
      const rule = getOption(method, httpOption);
      for (const methodAndPath of rule.paths) {
        const [verb = "", path = ""] = methodAndPath.split(" ");
        const item = paths[path] ?? {};
        paths[path] = item;
        item[verb.toLowerCase()] = operation(book, method, rule, verb, path);
      }
    }
  }
  return {
    openapi: "3.1.0",
    info: { title: "Sluice", version, description: "An OpenAI-compatible gateway for LLM providers." },
    security: [{ key: [] }],
    paths,
    components: {
      securitySchemes: { key: { type: "http", scheme: "bearer", description: "A key of this gateway: `sk-...`." } },
      schemas: {
        ...book.schemas,
        Error: {
          type: "object",
          properties: {
            error: {
              type: "object",
              properties: {
                message: { type: "string" },
                type: { type: "string" },
                param: { type: ["string", "null"] },
                code: { type: "string", description: "The HTTP status." },
              },
            },
          },
        },
      },
    },
  };
}

function operation(book: SchemaBook, method: DescMethod, rule: HttpRule, verb: string, path: string): JsonSchema {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? "");
  const members = book.members(method.input);
  const parameters = Object.entries(members)
    .filter(([name]) => verb === "GET" || inPath.includes(name))
    .map(([name, schema]) => ({
      name,
      in: inPath.includes(name) ? "path" : "query",
      required: inPath.includes(name),
      schema,
    }));
  return {
    operationId: `${method.parent.name}_${method.name}_${verb}_${path.replace(/\W+/g, "_")}`,
    tags: [method.parent.name.replace(/Service$/, "")],
    summary: method.name.replace(/(?<=[a-z])(?=[A-Z])/g, " "),
    description: contract[`${method.parent.typeName}.${method.name}`],
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(verb === "GET" ? {} : { requestBody: { content: json(book.reference(method.input)) } }),
    responses: {
      ...success(book, method, rule),
      default: { description: "An error", content: json({ $ref: "#/components/schemas/Error" }) },
    },
  };
}

function success(book: SchemaBook, method: DescMethod, rule: HttpRule) {
  if (rule.status === 204) return { 204: { description: "Done" } };
  return { [rule.status || 200]: { description: "OK", content: json(answer(book, method, rule)) } };
}

function answer(book: SchemaBook, method: DescMethod, rule: HttpRule): JsonSchema {
  if (rule.responseBody === "") return book.reference(method.output);
  const field = method.output.fields.find(({ name }) => name === rule.responseBody);
  // JSON that the service writes itself may be anything.
  if (field === undefined || fieldRule(field).unit !== 0) return {};
  return book.members(method.output)[rule.responseBody] ?? {};
}

function json(schema: JsonSchema) {
  return { "application/json": { schema } };
}
