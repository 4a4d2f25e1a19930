/** What each step is meant to take (the design's table), in seconds of the program or until the server has everything. */

export interface Aim {
  readonly workload: string;
  readonly step: string;
  /** At most, in seconds; a share of the local directory's speed where it says so. */
  readonly seconds?: number;
  readonly onServerSeconds?: number;
  /** At most so many times what the local directory takes. */
  readonly timesLocal?: number;
  readonly movedBytes?: number;
  /** A figure that the program measured itself, and its bound. */
  readonly measured?: { readonly name: string; readonly most: number };
}

export const AIMS: readonly Aim[] = [
  { workload: 'walk', step: 'cold', seconds: 0.5 },
  { workload: 'walk', step: 'after a restart', seconds: 0.1 },
  { workload: 'list', step: 'cold', seconds: 0.25 },
  { workload: 'read', step: 'cold', seconds: 0.35 },
  { workload: 'read', step: 'cached', seconds: 0.2 },
  { workload: 'read', step: 'cached, once more', timesLocal: 1.25 },
  { workload: 'random', step: 'cold', seconds: 0.5 },
  { workload: 'random-slow', step: 'cold', seconds: 2.5, movedBytes: 40e6 },
  { workload: 'head', step: 'cold', seconds: 0.05, movedBytes: 1e6 },
  { workload: 'read-small', step: 'cold', seconds: 1 },
  { workload: 'write-small', step: 'new', seconds: 0.05, onServerSeconds: 1.5 },
  { workload: 'write', step: 'new', seconds: 0.12, onServerSeconds: 1 },
  { workload: 'write-pieces', step: 'new', seconds: 0.05 },
  { workload: 'write-pieces', step: 'another', timesLocal: 1.25 },
  { workload: 'git', step: 'clone', seconds: 0.3, timesLocal: 3 },
  { workload: 'git', step: 'status', seconds: 0.03 },
  { workload: 'untar', step: 'new', timesLocal: 3 },
  { workload: 'rsync', step: 'new', timesLocal: 3 },
  { workload: 'npm-ci', step: 'new', timesLocal: 3 },
  { workload: 'latency', step: 'busy', measured: { name: 'p99 ms', most: 2 } },
  { workload: 'start', step: 'with 100,000 cached files', seconds: 1 },
];

/** Resident in every row. */
export const MEMORY_AIM_BYTES = 250e6;
