import type { ManagedProcess } from "./managed-process.ts";
import type { Rig } from "./rig.ts";
import { median } from "./statistics.ts";
import type { TenancyFigures } from "./tenancy-figures.ts";
import {
  FreshKeys,
  measureChanges,
  measureFlood,
  measureHotKeys,
  measureLists,
  measureUses,
} from "./tenancy-measures.ts";
import { startTenancyMesh, type TenancyMesh } from "./tenancy-mesh.ts";
import { seedTenancy, type TenancySize } from "./tenancy-seed.ts";

/** How much is measured. */
interface TenancyPlan {
  readonly size: TenancySize;
  readonly starts: number;
  readonly uses: number;
  readonly pages: number;
  readonly changes: number;
  readonly hotKeys: number;
  readonly floods: { readonly rounds: number; readonly seconds: number };
}

const fullTenancy: TenancyPlan = {
  size: { keys: 100_000, teams: 1_000, users: 20_000, deployments: 5_000 },
  starts: 3,
  uses: 300,
  pages: 100,
  changes: 3,
  hotKeys: 20_000,
  floods: { rounds: 3, seconds: 6 },
};

const quickTenancy: TenancyPlan = {
  size: { keys: 10_000, teams: 100, users: 2_000, deployments: 500 },
  starts: 1,
  uses: 50,
  pages: 20,
  changes: 1,
  hotKeys: 2_000,
  floods: { rounds: 1, seconds: 2 },
};

/** Two data planes on NATS, two whole gateways without it, and a database that holds many keys, users and teams. */
export async function measureTenancy(
  rig: Pick<Rig, "workDir" | "path" | "note">,
  quick: boolean,
): Promise<TenancyFigures> {
  const plan = quick ? quickTenancy : fullTenancy;
  const mesh = await startTenancyMesh(rig.path, rig.workDir);
  try {
    return await measureOn(mesh, plan, plan === fullTenancy, rig.note);
  } finally {
    await mesh.stop();
  }
}

async function measureOn(
  mesh: TenancyMesh,
  plan: TenancyPlan,
  whole: boolean,
  note: (text: string) => void,
): Promise<TenancyFigures> {
  const { size } = plan;
  const database = await seedTenancy(mesh.postgres.url, size);
  try {
    note(`tenancy: ${size.keys} keys are there`);
    const fresh = new FreshKeys();
    const pair = [await mesh.startWhole(), await mesh.startWhole()] as const;
    const changesWithoutEvents = await measureChanges(pair, fresh, 1);
    for (const each of pair) await each.stop();
    note(`tenancy, without NATS: ${JSON.stringify(changesWithoutEvents)}`);
    const startMs = await measureStart(mesh, plan.starts);
    note(`tenancy, start: ${Math.round(startMs)} ms`);
    const control = await mesh.startControl();
    const planes = [
      await mesh.startPlane(control),
      await mesh.startPlane(control, { SLUICE_TRUST_FORWARDED_FOR: "true" }),
    ] as const;
    const uses = await measureUses(planes[0], control, database, fresh, plan.uses);
    note(`tenancy, uses: ${JSON.stringify(uses)}`);
    const lists = await measureLists(planes[0], pagesOf(size), plan.pages);
    note(`tenancy, lists: ${JSON.stringify(lists)}`);
    const changesWithEvents = await measureChanges(planes, fresh, plan.changes);
    note(`tenancy, with NATS: ${JSON.stringify(changesWithEvents)}`);
    const flood = await measureFlood(planes[1], control, fresh, plan.floods.rounds, plan.floods.seconds);
    note(`tenancy, flood: ${JSON.stringify(flood)}`);
    const hot = await measureHotKeys(await mesh.startEdge(control), fresh, plan.hotKeys);
    note(`tenancy, ${plan.hotKeys} keys in use: ${Math.round(hot)} MB`);
    const described = `${size.keys} keys, ${size.users} users, ${size.teams} teams, ${size.deployments} deployments`;
    const changes = { changesWithEvents, changesWithoutEvents };
    return {
      size: described,
      whole,
      startMs,
      ...uses,
      lists,
      ...changes,
      hotKeys: plan.hotKeys,
      hotKeysMb: hot,
      ...flood,
    };
  } finally {
    await database.close();
  }
}

/** From the start of a process to its port, with everything in one process; the median of some starts. */
async function measureStart(mesh: TenancyMesh, starts: number): Promise<number> {
  const times: number[] = [];
  for (let start = 0; start < starts; start += 1) {
    const began = performance.now();
    const process: ManagedProcess = await mesh.startWhole();
    times.push(performance.now() - began);
    await process.stop();
  }
  return median(times);
}

/** The lists, each with how many pages of 25 there are. */
function pagesOf({ keys, users, teams, deployments }: TenancySize): Record<string, number> {
  return {
    "/user/list?page_size=25": users / 25,
    "/user/list?page_size=25&user_email=user-77": Math.max(1, users / 2_000),
    "/key/list?size=25&return_full_object=true": keys / 25,
    "/v2/team/list?page_size=25": teams / 25,
    "/v2/model/info?size=25": deployments / 25,
  };
}
