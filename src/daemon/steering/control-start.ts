/** Puts the control socket of a mount together: the service, the figures, and the server in front of them. */

import { type Clock, productVersion, UserError } from '../../base/index.js';
import { controlSocketPath, type MountOptions } from '../../config/index.js';
import { type ControlServer, startControlServer } from '../../control/index.js';
import { type Logger, type Metrics, subsystemLogger } from '../../observe/index.js';
import type { MountSide } from '../mounting/mount-side.js';
import type { Connection } from './connection.js';
import { lookUpMetrics } from './control-metrics.js';
import { problemOf } from './control-problems.js';
import {
  type ControlServiceDeps,
  createControlService,
  type MountFacts,
  type MountSettings,
} from './control-service.js';
import type { LiveSettings } from './live-settings.js';

export interface ControlParts
  extends Omit<ControlServiceDeps, 'kernel' | 'continuity' | 'unmount' | 'metrics'> {
  readonly runtimeDir: string;
  readonly kernel: MountSide;
  readonly openHandles: () => number;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Of the mount as it was made. */
export function mountFacts(
  { profile, cacheDir }: MountOptions,
  mounted: Pick<MountFacts, 'mountPoint' | 'driver' | 'startedAtMs'>,
): MountFacts {
  return { version: productVersion(), profile, cacheDir, ...mounted };
}

export function mountSettings({ vfs, limits }: LiveSettings, { line }: Connection): MountSettings {
  return { url: line.url, readOnly: vfs.readOnly, ...limits };
}

/** Undefined where there can be no socket: the mount is worth more than its remote control. */
export async function openControl(parts: ControlParts): Promise<ControlServer | undefined> {
  const { kernel, engine, metrics, clock, facts } = parts;
  const log = subsystemLogger(parts.logger, 'control');
  const continuity = () => kernel.continuity;
  metrics.source = () => lookUpMetrics({ ...parts, session: () => kernel.session, continuity });
  engine.onEvent((event) => {
    if (event.type === 'uploaded') metrics.uploaded(event.bytes);
    if (event.type === 'trouble') metrics.trouble(event.code);
    if (event.type === 'conflict') metrics.conflict();
  });
  const service = createControlService({
    ...parts,
    continuity,
    kernel: () => kernelStatus(kernel),
    unmount: () => kernel.takeAway(),
  });
  try {
    return await startControlServer({
      path: controlSocketPath(parts.runtimeDir, facts.mountPoint),
      service,
      problemOf,
      log,
      clock,
    });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    log.error({ reason: error.message }, 'the mount works, but cannot be controlled');
    return undefined;
  }
}

const NOT_OFFERED = 'this kernel does not offer it';

function kernelStatus({ negotiated, passthroughRefusal }: MountSide) {
  if (negotiated === undefined) return { protocol: 'of libfuse', features: [], absent: [] };
  const { minor, flags, absent } = negotiated;
  const notOffered = absent.map((feature) => ({ feature, reason: NOT_OFFERED }));
  const refused =
    passthroughRefusal === undefined
      ? []
      : [{ feature: 'PASSTHROUGH', reason: `the kernel refuses files of this cache: ${passthroughRefusal}` }];
  return {
    protocol: `7.${minor}`,
    features: [...flags].filter((flag) => flag !== 'PASSTHROUGH' || passthroughRefusal === undefined),
    absent: [...notOffered, ...refused],
  };
}
