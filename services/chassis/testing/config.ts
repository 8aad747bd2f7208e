/** What the tests read from the environment. */
export interface TestConfig {
  /** Where to look for the programs of PostgreSQL and NATS. */
  readonly path: string;
  /** A missing program fails the tests that need it, instead of leaving them out. */
  readonly requireMesh: boolean;
}

export function readTestEnv(env: NodeJS.ProcessEnv = process.env): TestConfig {
  return { path: env.PATH ?? "", requireMesh: env.SLUICE_REQUIRE_MESH_TESTS === "1" };
}
