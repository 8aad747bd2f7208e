import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { compileGlob, globMatch } from "../registry/glob.ts";
import type { FallbackTable, RouterSettings } from "../router-config.ts";

/** Names the groups that take over from a group, in order. */
export type FallbackLookup = (group: string, kind: UpstreamErrorKind | undefined) => readonly string[];

/**
 * LiteLLM's order: the list of the failure's kind (context window, content policy) where it has the group, else the
 * group's general list, else the list of `*`, else `default_fallbacks`. A group is found by its name, then without its
 * provider prefix, then by a pattern.
 */
export function createFallbackLookup(settings: RouterSettings): FallbackLookup {
  const contextWindow = tableLookup(settings.contextWindowFallbacks);
  const contentPolicy = tableLookup(settings.contentPolicyFallbacks);
  const general = tableLookup(settings.fallbacks);
  const anyGroup = settings.fallbacks.get("*") ?? settings.defaultFallbacks;
  return (group, kind) => {
    const special =
      kind === UpstreamErrorKind.CONTEXT_WINDOW
        ? contextWindow(group)
        : kind === UpstreamErrorKind.CONTENT_POLICY
          ? contentPolicy(group)
          : undefined;
    return special ?? general(group) ?? anyGroup;
  };
}

function tableLookup(table: FallbackTable): (group: string) => readonly string[] | undefined {
  if (table.size === 0) return () => undefined;
  const patterns = [...table].flatMap(([name, targets]) =>
    name.includes("*") && name !== "*" ? [[compileGlob(name), targets] as const] : [],
  );
  return (group) => {
    const bare = group.slice(group.indexOf("/") + 1);
    const exact = table.get(group) ?? table.get(bare);
    return exact ?? patterns.find(([glob]) => globMatch(glob, group) !== undefined)?.[1];
  };
}

/** The groups that one call may still go to. */
export interface FallbackQueue {
  /** The next group after one that failed; undefined where there is none or the maximum is reached. */
  next(failedGroup: string, kind: UpstreamErrorKind | undefined): string | undefined;
}

/**
 * Walks the fallbacks of one call: the client's own list first, then those of the group that failed, then what is left
 * of the groups before it. No group comes twice, and there are at most `max` in all.
 */
export function createFallbackQueue(
  primary: string,
  clientList: readonly string[],
  lookup: FallbackLookup,
  max: number,
): FallbackQueue {
  const seen = new Set([primary]);
  let waiting: string[] = [...clientList];
  let given = 0;
  return {
    next(failedGroup, kind) {
      const own = lookup(failedGroup, kind);
      waiting = given === 0 ? [...waiting, ...own] : [...own, ...waiting];
      while (given < max) {
        const name = waiting.shift();
        if (name === undefined) return undefined;
        if (seen.has(name)) continue;
        seen.add(name);
        given++;
        return name;
      }
      return undefined;
    },
  };
}
