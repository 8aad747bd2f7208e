import { enableCompileCache } from "node:module";

/** The one entry point. Which services this process hosts is configuration: SLUICE_SERVICES, default all. */
enableCompileCache();
const { main } = await import("./mesh/main-process.ts");
await main(process.argv.slice(2), process.env);
