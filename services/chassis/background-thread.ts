import { setPriority } from "node:os";

const niceness = 5;

/**
 * Call it in a thread that works beside calls: where the machine is busy, calls go first, and the thread gets a third of what
 * it would. Linux alone gives threads a priority of their own, https://man7.org/linux/man-pages/man2/setpriority.2.html
 */
export function giveWayToCalls(): void {
  if (process.platform === "linux") setPriority(0, niceness);
}
