/** What the tests of the control socket of a real mount share. No test lives here. */

import { controlSocketPath } from '../../src/config/index.js';
import { ControlClient, type ControlEvent } from '../../src/control/index.js';
import type { MountedDrive } from '../support/mount/index.js';

export function socketOf(drive: MountedDrive): string {
  return controlSocketPath(drive.runtimeDir, drive.path);
}

export function clientOf(drive: MountedDrive): ControlClient {
  return new ControlClient({ socketPath: socketOf(drive) });
}

/** Collects events until it is disposed of. */
export class EventLog {
  readonly events: ControlEvent[] = [];
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(client: ControlClient) {
    this.#done = this.#collect(client);
  }

  async #collect(client: ControlClient): Promise<void> {
    try {
      for await (const event of client.events({ signal: this.#stop.signal })) this.events.push(event);
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }
}
