import type { Deployment } from "../registry/deployment.ts";
import { isCooling } from "./cooldowns.ts";

/**
 * Picks a deployment: among those that neither cool down nor lack a key, those not tried by this call before those that
 * were, the lowest `order` first, then at random (`simple-shuffle`): by `weight` where any has one (1 for those without),
 * else by `rpm`, else by `tpm` where all have it, else evenly. Undefined where all cool down or lack a key.
 */
export function chooseDeployment(
  deployments: readonly Deployment[],
  tried: readonly Deployment[],
  now: number,
  random: () => number,
): Deployment | undefined {
  const [only] = deployments;
  if (deployments.length === 1 && only !== undefined) return isUsable(only, now) ? only : undefined;
  const usable = deployments.filter((deployment) => isUsable(deployment, now));
  const fresh = tried.length === 0 ? usable : usable.filter((deployment) => !tried.includes(deployment));
  return shuffle(lowestOrder(fresh.length === 0 ? usable : fresh), random);
}

/** Whether anything in the group can take a call at that time. */
export function hasUsable(deployments: readonly Deployment[], at: number): boolean {
  return deployments.some((deployment) => isUsable(deployment, at));
}

/** Whether a call that failed at `failed` could go elsewhere in the group. */
export function hasOther(deployments: readonly Deployment[], failed: Deployment, now: number): boolean {
  return deployments.some((deployment) => deployment !== failed && isUsable(deployment, now));
}

function isUsable(deployment: Deployment, now: number): boolean {
  return deployment.missingVariable === undefined && !isCooling(deployment, now);
}

function lowestOrder(deployments: readonly Deployment[]): readonly Deployment[] {
  const lowest = deployments.reduce((least, { order }) => Math.min(least, order), Number.POSITIVE_INFINITY);
  return deployments.filter(({ order }) => order === lowest);
}

function shuffle(deployments: readonly Deployment[], random: () => number): Deployment | undefined {
  if (deployments.length < 2) return deployments[0];
  const share = shareOf(deployments);
  const total = deployments.reduce((sum, deployment) => sum + share(deployment), 0);
  if (total === 0) return deployments[Math.floor(random() * deployments.length)];
  let rest = random() * total;
  for (const deployment of deployments) {
    rest -= share(deployment);
    if (rest < 0) return deployment;
  }
  return deployments.findLast((deployment) => share(deployment) > 0);
}

function shareOf(deployments: readonly Deployment[]): (deployment: Deployment) => number {
  if (deployments.some(({ weight }) => weight !== undefined)) return ({ weight }) => weight ?? 1;
  if (deployments.every(({ rpm }) => rpm !== undefined)) return ({ rpm }) => rpm ?? 0;
  if (deployments.every(({ tpm }) => tpm !== undefined)) return ({ tpm }) => tpm ?? 0;
  return () => 1;
}
