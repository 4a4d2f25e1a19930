/**
 * All that makes one mount outlive its daemon, in the order of a mount's life: the record for the next daemon, the keeper
 * of the descriptor, the end of the keeper before it. Taking over is takeover.ts's.
 */

import type { Clock, Secret, Timer } from '../../base/index.js';
import type { Credentials, MountOptions } from '../../config/index.js';
import type { KernelMount, Negotiated } from '../../fuse/index.js';
import type { Logger } from '../../observe/index.js';
import type { SdNotify } from '../service/sd-notify.js';
import { probeMount } from './dead-mount.js';
import type { Inheritance } from './inheritance.js';
import { keepInStore, type MountKeeper, NO_KEEPER, ProcessKeeper } from './keeper.js';
import type { Lineage } from './lineage.js';
import { removeSessionRecord, type SessionRecord } from './session-record.js';
import { type Legacy, ownCommand } from './succession.js';
import { LONG_ENOUGH_MS, relieve, saveRecord, type Takeover } from './takeover.js';

/** How the mount has lived so far, for `status`. */
export interface Continuity {
  /** How often a new daemon took this mount over. */
  readonly takeovers: number;
  /** The last time, in milliseconds since the epoch. */
  readonly lastTakeoverMs: number | undefined;
  /** Who holds the mount while no daemon does, and as which process. */
  readonly keeper: MountKeeper['kind'];
  readonly keeperPid: number | undefined;
}

export interface MountGuardConfig {
  readonly kernel: KernelMount;
  readonly options: MountOptions;
  readonly inheritance: Inheritance | undefined;
  readonly takeover: Takeover | undefined;
  readonly lineage: Lineage;
  /** As they are now. */
  credentials(): Credentials | undefined;
  readonly notify: SdNotify | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class MountGuard {
  readonly #config: MountGuardConfig;
  #keeper: MountKeeper = NO_KEEPER;
  #record: SessionRecord | undefined;
  #timer: Timer | undefined;

  constructor(config: MountGuardConfig) {
    this.#config = config;
  }

  get continuity(): Continuity {
    return {
      takeovers: this.#record?.takeovers ?? 0,
      lastTakeoverMs: this.#record?.lastTakeoverMs,
      keeper: this.#keeper.kind,
      keeperPid: this.#keeper.pid,
    };
  }

  /** The mount answers: from now on it outlives this daemon. */
  async begin(negotiated: Negotiated): Promise<void> {
    const { options, takeover, inheritance, clock, logger } = this.#config;
    this.#record = takeover?.record ?? this.#newRecord(negotiated);
    if (takeover === undefined) saveRecord(options.cacheDir, this.#record, logger);
    this.#keeper = await this.#keep(this.#record.deaths);
    // Only now: until another one holds the descriptor, that of before must.
    if (inheritance?.from === 'keeper') relieve(inheritance);
    this.#timer = clock.after(LONG_ENOUGH_MS, () => this.#isWell());
    if (takeover === undefined) return;
    const { mountPoint, takeovers } = this.#record;
    if (!negotiated.flags.has('HAS_RESEND')) this.#provoke(mountPoint);
    logger.warn(
      { mountPoint, takeovers, keeper: this.#keeper.kind },
      'the daemon of this mount had ended; another one has taken over, and the mount goes on',
    );
  }

  /** There are other credentials, perhaps. */
  renew(): void {
    this.#keeper.renew();
  }

  /** The daemon is about to unmount. */
  stopping(): void {
    this.#timer?.cancel();
    this.#keeper.stopping();
  }

  /** This process becomes another program, which goes on with the mount. */
  async pass(): Promise<Legacy> {
    this.#timer?.cancel();
    await this.#keeper.pass();
    return { fd: this.#config.kernel.fd, keeperPid: this.#keeper.pid, password: this.#password };
  }

  /** The mount is gone. */
  async done(): Promise<void> {
    this.#timer?.cancel();
    await this.#keeper.done();
    if (this.#record !== undefined) removeSessionRecord(this.#config.options.cacheDir);
  }

  /** What the next daemon would have to ask a person for. */
  get #password(): Secret | undefined {
    const credentials = this.#config.credentials();
    return credentials?.kind === 'basic' ? credentials.password : undefined;
  }

  #newRecord(negotiated: Negotiated): SessionRecord {
    const { kernel, options, lineage } = this.#config;
    return {
      id: lineage.id,
      kernelMounts: lineage.kernelMounts,
      url: options.url,
      mountPoint: kernel.mountPoint,
      device: kernel.device,
      method: kernel.method,
      readOnly: options.readOnly,
      allowOther: options.allowOther,
      takeovers: 0,
      deaths: 0,
      negotiated,
    };
  }

  async #keep(deaths: number): Promise<MountKeeper> {
    const { kernel, options, notify, clock, logger } = this.#config;
    if (!options.keeper) return NO_KEEPER;
    if (notify !== undefined) return this.#keepInStore(notify);
    return await ProcessKeeper.start({
      kept: kernel,
      command: ownCommand(),
      password: () => this.#password,
      deaths,
      clock,
      log: logger,
    });
  }

  #keepInStore(notify: SdNotify): MountKeeper {
    const { kernel, inheritance, logger } = this.#config;
    const keeper = keepInStore(kernel, notify);
    // The manager says how many it keeps (systemd 254), or the unit says it for an older one.
    const hasRoom = inheritance?.from === 'systemd' || Number(process.env.FDSTORE ?? 0) > 0;
    if (keeper !== undefined && hasRoom) return keeper;
    logger.info(
      {},
      'the unit keeps no descriptors (FileDescriptorStoreMax=): the mount ends with its daemon',
    );
    return NO_KEEPER;
  }

  /** What this kernel cannot send again is answered with the first request that comes: so that one does come. */
  #provoke(mountPoint: string): void {
    probeMount(mountPoint).catch((error: unknown) =>
      this.#config.logger.warn(
        { err: error },
        'programs may wait for the dead daemon until the mount is used again',
      ),
    );
  }

  #isWell(): void {
    const { options, logger } = this.#config;
    if (this.#record === undefined || this.#record.deaths === 0) return;
    this.#record = { ...this.#record, deaths: 0 };
    saveRecord(options.cacheDir, this.#record, logger);
    this.#keeper.well();
  }
}
