/**
 * The kernel's side of a mount that libfuse serves. There is no descriptor to hand over, so such a mount ends with its
 * daemon.
 */

import { createBridge } from '../../bridge/index.js';
import type { MountOptions } from '../../config/index.js';
import {
  type FlagOutcome,
  MountError,
  type SessionEnd,
  setKernelReadOnly,
  setReadAhead,
} from '../../fuse/index.js';
import { LibfuseError, type LibfuseMount, mountLibfuse } from '../../libfuse/index.js';
import { subsystemLogger } from '../../observe/index.js';
import { mountUserError } from '../failures.js';
import { libfuseUserError } from '../preflight/preflight-libfuse.js';
import { type KernelSideDeps, READ_AHEAD_KIB, unmountOrDetach } from './kernel-side.js';
import { type MountSide, NO_CONTINUITY, unmountUnused } from './mount-side.js';

export interface LibfuseSideDeps extends Omit<KernelSideDeps, 'guard'> {
  /** Whether this process may call mount(2). */
  readonly privileged: boolean;
}

export class LibfuseSide implements MountSide {
  readonly closed: Promise<SessionEnd>;
  readonly driver = 'fuse-native';
  readonly passthroughRefusal = undefined;
  readonly negotiated = undefined;
  readonly session = undefined;
  readonly continuity = NO_CONTINUITY;
  readonly #deps: LibfuseSideDeps;
  #options: MountOptions;
  #mount: LibfuseMount | undefined;
  #setClosed: (end: SessionEnd) => void = () => undefined;

  constructor(deps: LibfuseSideDeps) {
    this.#deps = deps;
    this.#options = deps.options;
    this.closed = new Promise((resolve) => {
      this.#setClosed = resolve;
    });
  }

  get mountPoint(): string {
    return this.#mount?.mountPoint ?? this.#deps.mountPoint;
  }

  async start(): Promise<void> {
    const { logger } = this.#deps;
    const mount = await this.#mountNow();
    this.#mount = mount;
    mount.closed
      .then((end) => {
        if (this.#mount === mount) this.#setClosed(end);
      })
      .catch((error: unknown) => logger.error({ err: error }, 'the mount has no end'));
    await setReadAhead(mount.device, READ_AHEAD_KIB).catch((error: unknown) =>
      logger.debug({ err: error }, 'the read-ahead of the mount stays at the default'),
    );
    logger.info(
      { mountPoint: mount.mountPoint },
      'libfuse serves the mount, which therefore ends with its daemon',
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
    const before = this.#mount;
    const { url, readOnly, allowOther, nonempty } = changes;
    this.#options = { ...this.#options, url, readOnly, allowOther, nonempty };
    this.#mount = undefined;
    if (before !== undefined) {
      await before.unmount({ lazy: true });
      await before.close();
    }
    try {
      await this.start();
    } catch (error) {
      this.#setClosed({ reason: 'failed', error: error instanceof Error ? error : new Error(String(error)) });
      throw error;
    }
    return 'The kernel mount is new; files that were open fail from now on.';
  }

  async takeAway(): Promise<void> {
    if (this.#mount !== undefined) await unmountUnused(this.#mount);
  }

  async close(): Promise<void> {
    const mount = this.#mount;
    this.#mount = undefined;
    if (mount === undefined) return;
    try {
      await unmountOrDetach(mount, this.#deps.logger);
    } finally {
      await mount.close();
    }
  }

  async #mountNow(): Promise<LibfuseMount> {
    const { mountPoint, vfs, settings, clock, logger, privileged, observe } = this.#deps;
    const { url, allowOther, readOnly, noExec, nonempty, uid, gid, debugFuse } = this.#options;
    const log = subsystemLogger(logger, 'libfuse');
    try {
      return await mountLibfuse({
        mountPoint,
        fsName: url,
        handlers: createBridge({ vfs, timeouts: settings.timeouts, log, observe }),
        owner: { uid, gid },
        clock,
        allowOther,
        readOnly,
        noExec,
        noAtime: true,
        allowNonEmpty: nonempty,
        privileged,
        debug: debugFuse,
        onUnexpectedError: (error, operation) =>
          log.error({ operation, err: error }, 'request failed unexpectedly'),
        onSingleTimesLost: () =>
          log.warn(
            {},
            'this libfuse ignores calls that set only the access or only the change time of a file',
          ),
      });
    } catch (error) {
      if (error instanceof MountError) throw mountUserError(error, mountPoint);
      throw error instanceof LibfuseError ? libfuseUserError(error) : error;
    }
  }
}
