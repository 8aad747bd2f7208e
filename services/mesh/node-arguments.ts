/**
/**
 * How Node is started for a process of Sluice; package.json's `start` and the image's entry point say the same. Under load
 * the young generation grows to 64 MB instead of 16: the rarer it is collected, the fewer calls are in the middle then and
 * have to be copied. And nothing is made old at its birth because others of its kind have lived long: all that belongs to
 * a call dies young.
 */
export const nodeArguments: readonly string[] = ["--max-semi-space-size=64", "--no-allocation-site-pretenuring"];

/**
 * The same where five processes share one machine. With more of them than processors, collecting young objects on several
 * threads at once costs more than it saves.
 */
export const localMeshArguments: readonly string[] = [...nodeArguments, "--no-parallel-scavenge"];
