import type { Client } from "@connectrpc/connect";
import { gatewayError } from "#chassis/errors.ts";
import type { AuthService, DescribeScopeResponse } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Caller } from "#gen/sluice/inference/v1/inference_pb.ts";
import { ModelRightsSchema, type ScopeLimits } from "#gen/sluice/inference/v1/limits_pb.ts";
import { FreshCache } from "./fresh-cache.ts";

export interface NamedScopesOptions {
  readonly auth: Client<typeof AuthService>;
  /** Bounds the names that auth knows, and those it does not, each. */
  readonly entries: number;
  readonly freshMs: number;
  readonly staleMs: number;
  readonly timeoutMs: number;
  /** Milliseconds on any clock that does not go back. */
  readonly now: () => number;
  /** Told whenever auth does not answer. */
  readonly unanswered: (error: unknown) => void;
}

/** What holds for the customers and tags that calls name, from memory. */
export class NamedScopes {
  readonly #cache: FreshCache<DescribeScopeResponse>;

  constructor(options: NamedScopesOptions) {
    this.#cache = new FreshCache({ ...options, load: (scope) => load(options, scope), isAbsent: isNothing });
  }

  /**
   * Adds to a caller what holds for its customer and its tags. Answers at once where all of them are in memory, and does
   * nothing where the call names none.
   *
   * @throws PERMISSION_DENIED where one of them is blocked, UNAVAILABLE where auth does not say what holds for it.
   */
  apply(caller: Caller, model: string): undefined | Promise<void> {
    const { alternatives } = caller;
    if (alternatives.length === 0) return this.#applyTo(caller, model);
    const own = [this.#applyTo(caller, model), ...alternatives.map((each) => this.#applyTo(each, each.model))];
    return Promise.all(own).then(() => undefined);
  }

  #applyTo(caller: Caller, model: string): undefined | Promise<void> {
    if (caller.endUser === "" && caller.tags.length === 0) return undefined;
    const names = caller.endUser === "" ? [] : [`customer:${caller.endUser}`];
    for (const tag of caller.tags) names.push(`tag:${tag}`);
    const found = names.map((name) => this.#cache.get(name));
    const pending = found.some((each) => each instanceof Promise);
    if (pending) return Promise.all(found).then((all) => addAll(caller, model, names, all));
    addAll(
      caller,
      model,
      names,
      found.filter((each): each is DescribeScopeResponse => !(each instanceof Promise)),
    );
    return undefined;
  }

  drop(scopes: readonly string[]): void {
    for (const scope of scopes) this.#cache.drop(scope);
  }
}

function addAll(
  caller: Caller,
  model: string,
  names: readonly string[],
  found: readonly DescribeScopeResponse[],
): void {
  for (const [at, each] of found.entries()) add(caller, model, names[at] ?? "", each);
}

function add(caller: Caller, model: string, name: string, { scopes, models, blocked }: DescribeScopeResponse): void {
  if (blocked) {
    throw gatewayError(Reason.PERMISSION_DENIED, `Authentication Error, ${name.replace(":", "=")} is blocked.`, {
      param: name.startsWith("customer:") ? "user" : "tags",
    });
  }
  if (scopes.length > 0) caller.scopes = [...caller.scopes, ...scopesFor(scopes, model)];
  if (models.length > 0) {
    const level = name.slice(0, name.indexOf(":"));
    caller.rights = [...caller.rights, { $typeName: ModelRightsSchema.typeName, level, models }];
  }
}

/** The scopes that a call to a model counts against: limits of another model are not among them. */
export function scopesFor(scopes: ScopeLimits[], model: string): ScopeLimits[] {
  return scopes.every((scope) => scope.model === "")
    ? scopes
    : scopes.filter((scope) => scope.model === "" || scope.model === model);
}

function isNothing({ scopes, models, blocked }: DescribeScopeResponse): boolean {
  return scopes.length === 0 && models.length === 0 && !blocked;
}

async function load(
  { auth, timeoutMs, unanswered }: NamedScopesOptions,
  scope: string,
): Promise<DescribeScopeResponse> {
  try {
    return await auth.describeScope({ scope }, { timeoutMs });
  } catch (cause) {
    unanswered(cause);
    throw gatewayError(Reason.UNAVAILABLE, "Limits cannot be checked at the moment. Try again in a second.", {
      retryAfterMs: 1000,
      cause,
    });
  }
}
