/**
 * Tells the kernel what it must forget. Events are gathered and handed over after the request at hand has been
 * answered, never from inside a handler; equal ones that wait are one. The driver writes them off the main thread.
 *
 * INVARIANT: an event counts as waiting from the moment it is told until the kernel has taken it.
 */

import { assertNever, type Ino, type Log } from '../base/index.js';
import type { Notifier, NotifyOutcome } from '../fuse/index.js';
import type { Invalidation, Sync } from '../sync/index.js';

export interface InvalidationOptions {
  readonly sync: Pick<Sync, 'onInvalidate'>;
  readonly notify: Pick<Notifier, 'invalInode' | 'invalEntry' | 'deleted'>;
  /** Whether the kernel may know the node at all; what it does not know it need not forget. */
  readonly isKnown: (ino: Ino) => boolean;
  readonly log: Log;
}

export interface KernelInvalidation {
  /** Whether the kernel is yet to forget what it has cached of this node. */
  isPending(ino: Ino): boolean;
  /** Resolves when nothing waits. */
  idle(): Promise<void>;
  /** Forgets what waits and hands over nothing more. */
  close(): void;
}

/** Handed to the driver at a time; far below what its own queue holds. */
const MAX_IN_FLIGHT = 256;

class InvalidationQueue implements KernelInvalidation {
  readonly #options: InvalidationOptions;
  readonly #waiting = new Map<string, Invalidation>();
  /** Inode events under way, by node. */
  readonly #underWay = new Map<Ino, number>();
  readonly #idle: (() => void)[] = [];
  #inFlight = 0;
  #scheduled = false;
  #closed = false;

  constructor(options: InvalidationOptions) {
    this.#options = options;
    options.sync.onInvalidate((event) => this.#add(event));
  }

  isPending(ino: Ino): boolean {
    return this.#underWay.has(ino) || this.#waiting.has(inodeKey(ino));
  }

  idle(): Promise<void> {
    if (this.#isIdle) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  close(): void {
    this.#closed = true;
    this.#waiting.clear();
    this.#settle();
  }

  get #isIdle(): boolean {
    return this.#inFlight === 0 && this.#waiting.size === 0;
  }

  #add(event: Invalidation): void {
    const node = event.kind === 'inode' ? event.ino : event.parent;
    if (this.#closed || !this.#options.isKnown(node)) return;
    if (event.kind === 'inode') {
      this.#waiting.set(inodeKey(event.ino), event);
    } else {
      this.#waiting.set(`${event.kind} ${event.parent} ${event.name}`, event);
      // The kernel keeps a directory's cached listing when it does not know the name that came.
      this.#waiting.set(inodeKey(event.parent), { kind: 'inode', ino: event.parent });
    }
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    for (const [key, event] of this.#waiting) {
      if (this.#inFlight >= MAX_IN_FLIGHT) return;
      this.#waiting.delete(key);
      this.#inFlight += 1;
      const ino = event.kind === 'inode' ? event.ino : undefined;
      if (ino !== undefined) this.#underWay.set(ino, (this.#underWay.get(ino) ?? 0) + 1);
      this.#send(event)
        .then(
          (outcome) => this.#judge(event, outcome),
          (error: unknown) =>
            this.#options.log.warn({ event, err: error }, 'the kernel was not told of a change'),
        )
        .finally(() => this.#sent(ino));
    }
  }

  #send(event: Invalidation): Promise<NotifyOutcome> {
    const { notify } = this.#options;
    switch (event.kind) {
      case 'inode':
        return notify.invalInode(event.ino);
      case 'entry':
        // The next use asks again; a program whose working directory it is keeps it.
        return notify.invalEntry(event.parent, event.name, { expireOnly: true });
      case 'delete':
        return notify.deleted(event.parent, event.child, event.name);
      default:
        return assertNever(event);
    }
  }

  #judge(event: Invalidation, outcome: NotifyOutcome): void {
    switch (outcome) {
      case 'done':
      case 'absent':
      case 'closed':
        return;
      case 'busy':
      case 'unsupported':
        // DELETE of what is in use, or on an old kernel: the entry goes at least.
        if (event.kind === 'delete') this.#add({ kind: 'entry', parent: event.parent, name: event.name });
        return;
      case 'overflow':
        this.#options.log.warn({ event }, 'the kernel was not told of a change: too many notifications wait');
        return;
      default:
        assertNever(outcome);
    }
  }

  #sent(ino: Ino | undefined): void {
    this.#inFlight -= 1;
    if (ino !== undefined) {
      const left = (this.#underWay.get(ino) ?? 1) - 1;
      if (left === 0) this.#underWay.delete(ino);
      else this.#underWay.set(ino, left);
    }
    if (this.#waiting.size > 0) this.#schedule();
    this.#settle();
  }

  #settle(): void {
    if (this.#isIdle) for (const resolve of this.#idle.splice(0)) resolve();
  }
}

function inodeKey(ino: Ino): string {
  return `inode ${ino}`;
}

/** From here on, what `sync` says has changed is told to the kernel. */
export function connectInvalidation(options: InvalidationOptions): KernelInvalidation {
  return new InvalidationQueue(options);
}
