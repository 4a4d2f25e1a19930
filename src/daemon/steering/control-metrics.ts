/** The figures that the parts of a daemon know when they are asked; the others are counted as they happen. */

import type { ContentStore } from '../../content/index.js';
import type { FuseSession } from '../../fuse/index.js';
import type { LookedUp } from '../../observe/index.js';
import type { Continuity } from '../mounting/mount-guard.js';
import type { EngineControl, MountFacts, MountSettings } from './control-service.js';

export interface MetricSources {
  readonly facts: MountFacts;
  readonly settings: () => MountSettings;
  readonly engine: EngineControl;
  readonly content: Pick<ContentStore, 'stats'>;
  readonly nodeCount: () => number;
  readonly openHandles: () => number;
  /** Of the driver that speaks the kernel protocol itself; undefined where another driver serves. */
  readonly session: () => Pick<FuseSession, 'inFlight' | 'heldBytes' | 'counters' | 'notify'> | undefined;
  readonly continuity: () => Pick<Continuity, 'takeovers'>;
}

const CONNECTION_STATES = ['online', 'offline', 'unauthorized'] as const;
const MS_PER_S = 1000;

export function lookUpMetrics(sources: MetricSources): LookedUp {
  const { facts, engine, content } = sources;
  const session = sources.session();
  const { pending, running, failing, bytes, bytesDone } = engine.summary();
  const { cleanBytes, cleanFiles, stagedBytes, stagedFiles } = content.stats();
  const quota = engine.quota();
  return {
    info: [{ labels: { version: facts.version, driver: facts.driver }, value: 1 }],
    startTime: facts.startedAtMs / MS_PER_S,
    takeovers: sources.continuity().takeovers,
    fuseInFlight: session?.inFlight ?? 0,
    fuseHeldBytes: session?.heldBytes ?? 0,
    fuseInterrupts: session?.counters.interrupts ?? 0,
    fuseUndelivered: session?.counters.undelivered ?? 0,
    fuseMalformed: session?.counters.malformed ?? 0,
    notifyQueued: session?.notify.queued ?? 0,
    openHandles: sources.openHandles(),
    connection: CONNECTION_STATES.map((state) => ({
      labels: { state },
      value: engine.connection.kind === state ? 1 : 0,
    })),
    queueChanges: Object.entries({ pending, running, failing }).map(([state, value]) => ({
      labels: { state },
      value,
    })),
    queueBytes: bytes,
    queueSentBytes: bytesDone,
    paused: engine.paused ? 1 : 0,
    conflicts: engine.conflicts().length,
    cacheBytes: byKind({ clean: cleanBytes, staged: stagedBytes }),
    cacheFiles: byKind({ clean: cleanFiles, staged: stagedFiles }),
    cacheLimitBytes: sources.settings().maxCleanBytes,
    pins: engine.pinCount,
    nodes: sources.nodeCount(),
    capacityBytes: quota === undefined ? [] : byKind({ used: quota.used, available: quota.available }),
  };
}

function byKind(values: Readonly<Record<string, number>>) {
  return Object.entries(values).map(([kind, value]) => ({ labels: { kind }, value }));
}
