import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import type { Dialect } from "./error-body.ts";
import type { HttpCall } from "./http-call.ts";

interface RouteBase {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Paths, each with at most one `{parameter}`, which may hold slashes: model names do. */
  readonly paths: readonly string[];
  readonly dialect?: Dialect;
  /** LiteLLM's names of the groups that it belongs to, for keys that may call some routes only. */
  readonly groups?: readonly string[];
}

/** A path of the outside. Without `access: "public"` it takes a valid key to get there. */
export type Route =
  | (RouteBase & { readonly access: "public"; handle(call: HttpCall): void | Promise<void> })
  | (RouteBase & { readonly access: "key"; handle(call: HttpCall, principal: Principal): void | Promise<void> });

export interface FoundPath {
  /** The path as the route has it. */
  readonly template: string;
  /** By method. */
  readonly routes: ReadonlyMap<string, Route>;
  readonly parameter: string;
}

interface Entry {
  readonly template: string;
  readonly routes: Map<string, Route>;
}

interface Pattern extends Entry {
  readonly prefix: string;
  readonly suffix: string;
}

/** Finds routes: one look-up for a plain path, then the patterns, the most specific one first. */
export class RouteTable {
  readonly #plain = new Map<string, Entry & { readonly parameter: "" }>();
  readonly #patterns: Pattern[] = [];

  /** @throws where two routes claim one path and method, or a path has two parameters: a mistake of whoever wrote it. */
  constructor(routes: readonly Route[]) {
    for (const route of routes) {
      for (const path of route.paths) this.#add(path, route);
    }
    this.#patterns.sort((a, b) => b.prefix.length + b.suffix.length - a.prefix.length - a.suffix.length);
  }

  find(path: string): FoundPath | undefined {
    const plain = this.#plain.get(path);
    if (plain !== undefined) return plain;
    for (const { template, routes, prefix, suffix } of this.#patterns) {
      if (path.length > prefix.length + suffix.length && path.startsWith(prefix) && path.endsWith(suffix)) {
        const parameter = decode(path.slice(prefix.length, path.length - suffix.length));
        return parameter === undefined ? undefined : { template, routes, parameter };
      }
    }
    const tidied = tidy(path);
    return tidied === path ? undefined : this.find(tidied);
  }

  #add(path: string, route: Route): void {
    const { routes } = this.#entry(path);
    if (routes.has(route.method)) throw new Error(`two routes for ${route.method} ${path}`);
    routes.set(route.method, route);
  }

  #entry(template: string): Entry {
    const [prefix = "", suffix, more] = template.split(/\{\w+\}/);
    if (more !== undefined) throw new Error(`more than one parameter in ${template}`);
    if (suffix === undefined) {
      const plain = this.#plain.get(template) ?? { template, routes: new Map(), parameter: "" };
      this.#plain.set(template, plain);
      return plain;
    }
    const known = this.#patterns.find((pattern) => pattern.prefix === prefix && pattern.suffix === suffix);
    if (known !== undefined) return known;
    const pattern = { template, routes: new Map(), prefix, suffix };
    this.#patterns.push(pattern);
    return pattern;
  }
}

/** A doubled slash comes from a base address that ends with one. */
function tidy(path: string): string {
  const single = path.replace(/\/{2,}/g, "/");
  return single.length > 1 && single.endsWith("/") ? single.slice(0, -1) : single;
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
