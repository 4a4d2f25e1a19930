/** The shapes that the benchmark's parts share: tools that mount, workloads that run, figures that come out. */

import type { MountTarget } from '../support/mount/index.js';
import type { DaemonFigures } from './daemon-figures.js';

/** A drive that a tool has mounted (or, for the local tool, a directory). */
export interface ToolMount {
  readonly path: string;
  /** The process whose CPU time and memory count, or undefined when there is none. */
  readonly pid: number | undefined;
  /** What the tool counts itself, as text of Prometheus. */
  readonly metrics?: () => Promise<string>;
  /** Unmounts; leaves nothing behind but the cache directory. */
  stop(): Promise<void>;
}

export interface ToolOptions {
  readonly server: MountTarget;
  readonly mountPoint: string;
  readonly cacheDir: string;
  /** What the server serves: for a tool that needs no server. */
  readonly root: string;
  /** A directory for small files of the tool's own. */
  readonly scratchDir: string;
}

/** A program under measurement. */
export interface Tool {
  readonly name: string;
  /** What is missing on this machine, or undefined when the tool can run. */
  missing(): string | undefined;
  /** Absent for the local directory, which needs no mount. */
  readonly mount?: (options: ToolOptions) => Promise<ToolMount>;
}

/** The figures of one step of a workload. */
export interface Figures {
  /** Until the program was done. */
  readonly seconds: number;
  /** Until the server had everything, for steps that write. */
  readonly onServerSeconds?: number;
  readonly requests: number;
  readonly upBytes: number;
  readonly downBytes: number;
  /** Of the tool's process during the step, user and system. */
  readonly cpuSeconds: number;
  /** Highest resident memory of the tool's process during the step. */
  readonly peakBytes: number;
  /** What the line alone takes for it, for steps that need the line. */
  readonly lineSeconds?: number;
  /** What the tool's own counts tell. */
  readonly daemon?: DaemonFigures;
  /** What else the program measured, by name with its unit. */
  readonly measured?: Readonly<Record<string, number>>;
}

/** What a step cannot do without: round trips one after the other, and bytes over the line. */
export interface LineNeed {
  readonly roundTrips: number;
  readonly upBytes?: number;
  readonly downBytes?: number;
}

export interface StepOptions {
  /** Waited for after the program. */
  readonly onServer?: () => boolean;
  readonly line?: LineNeed;
}

/** What a program of programs.ts returns: seconds, or seconds with more. */
export type ProgramResult =
  | number
  | { readonly seconds: number; readonly measured: Readonly<Record<string, number>> };

export interface Row {
  readonly workload: string;
  readonly step: string;
  readonly tool: string;
  readonly figures?: Figures;
  /** Why there are no figures. */
  readonly error?: string;
}

/** A program of programs.ts and its arguments; it runs in a worker process and returns how long it took. */
export interface Program {
  readonly name: string;
  readonly args: readonly unknown[];
}

/** What a workload does its work with. */
export interface Run {
  /** The drive; only programs touch it. */
  path(...segments: readonly string[]): string;
  /** The server's own directory. */
  onServer(...segments: readonly string[]): string;
  /** A name that no other tool's run on this server uses. */
  readonly ownName: string;
  /** Runs the program and records its figures as `step`. */
  step(step: string, program: Program, options?: StepOptions): Promise<void>;
  /** Records figures that something else measured. */
  note(step: string, measured: Readonly<Record<string, number>>): void;
  /** Runs the program without recording. */
  quietly(program: Program): Promise<void>;
  /** Unmounts and mounts again with the same cache directory. */
  remount(): Promise<void>;
  /** The same, with something done to the cache directory in between; the mount is recorded as `step`. */
  startAgain(step: string, change: (cacheDir: string) => Promise<void>): Promise<void>;
  /** Unmounts and mounts with an empty one. */
  remountCold(): Promise<void>;
}

export interface Workload {
  readonly name: string;
  readonly title: string;
  /** Limits the line for this workload; no limit when absent. */
  readonly rateBytesPerS?: number;
  /** The tools that it is done with; all when absent. */
  readonly tools?: readonly string[];
  /** Lays out the server's directory. */
  prepare(root: string): void | Promise<void>;
  /** Called with a cold, fresh mount. */
  run(run: Run): Promise<void>;
}
