/**
 * How Node is started for a process of Sluice; package.json's `start` and the image's entry point say the same. A young
 * generation of 32 MB instead of 16: fewer of a call's objects live long enough to be copied.
 */
export const nodeArguments: readonly string[] = ["--min-semi-space-size=32", "--max-semi-space-size=32"];

/**
 * The same where five processes share one machine. With more of them than processors, collecting young objects on several
 * threads at once costs more than it saves.
 */
export const localMeshArguments: readonly string[] = [...nodeArguments, "--no-parallel-scavenge"];
