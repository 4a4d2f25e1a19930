/**
 * The kernel's side of a mount: the kernel mount, the session that answers on it, what the kernel is told of changes,
 * and who keeps the descriptor. The file system behind it knows nothing of it, so that another kernel mount can take
 * the place of one that is in trouble.
 */

import { type Clock, UserError } from '../../base/index.js';
import {
  connectInvalidation,
  createBridge,
  type KernelInvalidation,
  type MiddlewareOptions,
  settleReferences,
} from '../../bridge/index.js';
import type { MountOptions } from '../../config/index.js';
import {
  type FlagOutcome,
  FuseSession,
  type KernelMount,
  MountError,
  mountKernel,
  type Negotiated,
  type SessionEnd,
  setKernelReadOnly,
  setReadAhead,
} from '../../fuse/index.js';
import { type Logger, subsystemLogger } from '../../observe/index.js';
import type { SyncEngine } from '../../sync/index.js';
import type { Vfs } from '../../vfs/index.js';
import { mountUserError } from '../failures.js';
import type { LiveSettings } from '../steering/live-settings.js';
import { kernelAbilities, type SessionAbilities } from './kernel-abilities.js';
import { ioFlags } from './kernel-io.js';
import type { Continuity, MountGuard } from './mount-guard.js';
import { type MountSide, NO_CONTINUITY, unmountUnused } from './mount-side.js';
import type { Legacy } from './succession.js';
import type { Takeover } from './takeover.js';

/** What the kernel reads ahead of a sequential reader, in KiB. */
export const READ_AHEAD_KIB = 1024;

export interface KernelSideDeps {
  readonly options: MountOptions;
  /** Whether this process has CAP_SYS_ADMIN. */
  readonly privileged: boolean;
  /** Absolute, without symbolic links. */
  readonly mountPoint: string;
  readonly vfs: Vfs;
  readonly engine: SyncEngine;
  readonly settings: LiveSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of every request of the kernel when it is answered. */
  readonly observe?: MiddlewareOptions['observe'];
  /** Makes what lets a kernel mount outlive the daemon. */
  readonly guard: (kernel: KernelMount, options: MountOptions, takeover: Takeover | undefined) => MountGuard;
}

/** One kernel mount and all that belongs to it. */
interface Side {
  readonly kernel: KernelMount;
  readonly session: FuseSession;
  readonly invalidation: KernelInvalidation;
  readonly guard: MountGuard;
}

export class KernelSide implements MountSide {
  readonly closed: Promise<SessionEnd>;
  readonly driver = 'kernel';
  readonly #deps: KernelSideDeps;
  #options: MountOptions;
  #side: Side | undefined;
  #abilities: SessionAbilities | undefined;
  #setClosed: (end: SessionEnd) => void = () => undefined;

  constructor(deps: KernelSideDeps) {
    this.#deps = deps;
    this.#options = deps.options;
    this.closed = new Promise((resolve) => {
      this.#setClosed = resolve;
    });
  }

  get mountPoint(): string {
    return this.#side?.kernel.mountPoint ?? this.#deps.mountPoint;
  }

  /** What was agreed with the kernel. */
  get negotiated(): Negotiated | undefined {
    return this.#side?.session.negotiated;
  }

  get passthroughRefusal(): string | undefined {
    return this.#abilities?.backing.refusal;
  }

  get session(): FuseSession | undefined {
    return this.#side?.session;
  }

  get continuity(): Continuity {
    return this.#side?.guard.continuity ?? NO_CONTINUITY;
  }

  /** Mounts, or goes on with the mount of an earlier daemon; resolves when programs are served. Rejects with UserError. */
  async start(takeover: Takeover | undefined): Promise<void> {
    const options = this.#options;
    const kernel = takeover?.kernel ?? (await this.#mount(options));
    // Before the first request: it names the connection that requests are counted in.
    const guard = this.#deps.guard(kernel, options, takeover);
    const side: Side = { kernel, guard, ...this.#serve(kernel, takeover) };
    this.#side = side;
    side.session.closed
      .then((end) => {
        if (this.#side === side) this.#setClosed(end);
      })
      .catch((error: unknown) => this.#deps.logger.error({ err: error }, 'the session has no end'));
    await side.guard.begin(await Promise.race([side.session.ready, side.session.closed.then(failIfEnded)]));
    await setReadAhead(kernel.device, READ_AHEAD_KIB).catch((error: unknown) =>
      this.#deps.logger.debug({ err: error }, 'the read-ahead of the mount stays at the default'),
    );
  }

  async setReadOnly(readOnly: boolean): Promise<FlagOutcome> {
    try {
      return await setKernelReadOnly(this.mountPoint, readOnly);
    } catch (error) {
      throw error instanceof MountError ? mountUserError(error, this.mountPoint) : error;
    }
  }

  async reestablish(
    changes: Pick<MountOptions, 'url' | 'readOnly' | 'allowOther' | 'nonempty'>,
  ): Promise<string> {
    const { vfs, logger } = this.#deps;
    const { url, readOnly, allowOther, nonempty } = changes;
    const before = this.#side;
    const lost = vfs.handleCount;
    this.#options = { ...this.#options, url, readOnly, allowOther, nonempty };
    this.#side = undefined;
    if (before !== undefined) {
      await this.#end(before, { lazy: true }).catch((error: unknown) =>
        logger.warn({ err: error }, 'the mount that is in trouble does not end cleanly'),
      );
    }
    // What programs had open through the old one is closed; what they wrote goes up.
    vfs.close();
    try {
      await this.start(undefined);
    } catch (error) {
      this.#setClosed({ reason: 'failed', error: error instanceof Error ? error : new Error(String(error)) });
      throw error;
    }
    logger.warn(
      { mountPoint: this.mountPoint, lost },
      'a new kernel mount has taken the place of the old one',
    );
    const files =
      lost === 1 ? 'One file or directory that was open fails' : `${lost} open files and directories fail`;
    return lost === 0
      ? 'The kernel mount is new; nothing was open.'
      : `The kernel mount is new; ${files} from now on.`;
  }

  async takeAway(): Promise<void> {
    if (this.#side !== undefined) await unmountUnused(this.#side.kernel);
  }

  /** Unmounts; where programs hold on to the mount it is detached, and goes when they let go. */
  async close(): Promise<void> {
    const side = this.#side;
    this.#side = undefined;
    if (side !== undefined) await this.#end(side, { lazy: false });
  }

  async handOver(): Promise<Legacy | undefined> {
    const side = this.#side;
    this.#side = undefined;
    if (side === undefined) return undefined;
    await side.session.close({ keepDescriptor: true });
    await side.invalidation.close();
    return await side.guard.pass();
  }

  /** All of it, also past a step that fails; rejects with the first failure. */
  async #end({ kernel, session, invalidation, guard }: Side, how: { readonly lazy: boolean }): Promise<void> {
    const failures: unknown[] = [];
    const steps: readonly (() => unknown)[] = [
      () => guard.stopping(),
      () => (how.lazy ? kernel.unmount(how) : unmountOrDetach(kernel, this.#deps.logger)),
      () => guard.done(),
      () => session.close(),
      () => invalidation.close(),
    ];
    for (const step of steps) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  async #mount({ url, allowOther, readOnly, noExec, nonempty }: MountOptions): Promise<KernelMount> {
    const { mountPoint } = this.#deps;
    try {
      return await mountKernel({
        mountPoint,
        fsName: url,
        allowOther,
        readOnly,
        noExec,
        noAtime: true,
        allowNonEmpty: nonempty,
      });
    } catch (error) {
      throw error instanceof MountError ? mountUserError(error, mountPoint) : error;
    }
  }

  #serve(
    kernel: KernelMount,
    takeover: Takeover | undefined,
  ): { readonly session: FuseSession; readonly invalidation: KernelInvalidation } {
    const { vfs, engine, settings, clock, logger, observe, privileged } = this.#deps;
    const { fuseMinor, kernelIo, cacheDir } = this.#options;
    const log = subsystemLogger(logger, 'fuse');
    const pending: { invalidation: KernelInvalidation | undefined } = { invalidation: undefined };
    const handlers = createBridge({
      vfs,
      timeouts: settings.timeouts,
      log,
      isStale: (ino) => pending.invalidation?.isPending(ino) ?? false,
      observe,
    });
    const session = new FuseSession({
      fd: kernel.fd,
      handlers,
      clock,
      options: {
        extraFlags: ['HANDLE_KILLPRIV_V2', ...ioFlags(kernelIo, { privileged, cacheDir })],
        ...(fuseMinor === undefined ? {} : { maxMinor: fuseMinor }),
      },
      ...(takeover === undefined ? {} : { resume: takeover.record.negotiated }),
      isAwaited: () => engine.isReceiving,
      onUnexpectedError: (error, operation) =>
        log.error({ operation, err: error }, 'request failed unexpectedly'),
      get trace() {
        return settings.trace;
      },
    });
    const invalidation = connectInvalidation({
      sync: engine,
      notify: session.notify,
      isKnown: (ino) => vfs.inodes.isInUse(ino),
      log,
    });
    pending.invalidation = invalidation;
    this.#abilities = kernelAbilities(session, log);
    vfs.kernel = this.#abilities;
    session.start();
    if (takeover !== undefined) {
      const doubts = settleReferences({ vfs, notify: session.notify, clock, log });
      void session.closed.then(() => doubts.close());
    }
    return { session, invalidation };
  }
}

function failIfEnded(end: SessionEnd): never {
  throw new UserError(
    'mount-refused',
    'Cannot mount: the kernel ended the connection at once',
    'See the kernel log.',
    {
      cause: end.reason === 'failed' ? end.error : undefined,
    },
  );
}

/** Where programs hold on to the mount it is detached, and goes when they let go. */
export async function unmountOrDetach(
  kernel: Pick<KernelMount, 'mountPoint' | 'unmount'>,
  logger: Logger,
): Promise<void> {
  try {
    await kernel.unmount();
  } catch (error) {
    if (!(error instanceof MountError) || error.code !== 'busy') throw error;
    logger.warn({ mountPoint: kernel.mountPoint }, 'programs still use the mount; it is detached from them');
    await kernel.unmount({ lazy: true });
  }
}
