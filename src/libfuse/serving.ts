/** Answers what the threads of libfuse ask. Each asks one thing at a time, and waits until it is answered, exactly once. */

import { ERRNO, FuseError } from '../fuse/index.js';
import type { FuseNative, NativeHandler } from './binding.js';
import { NATIVE_CALLS, type NativeAnswer } from './native-calls.js';
import type { PathCalls } from './path-calls.js';

export class Serving {
  /** Resolves when libfuse has answered the kernel's first request. */
  readonly ready: Promise<void>;
  /** By the operations' numbers. */
  readonly handlers: readonly NativeHandler[];
  readonly implemented: Uint32Array;
  readonly #calls: PathCalls;
  readonly #onUnexpectedError: (error: unknown, operation: string) => void;
  #isOver = false;

  constructor(
    native: FuseNative,
    calls: PathCalls,
    onUnexpectedError: (error: unknown, operation: string) => void,
  ) {
    this.#calls = calls;
    this.#onUnexpectedError = onUnexpectedError;
    const handlers: NativeHandler[] = new Array(native.slots).fill(() => undefined);
    this.implemented = new Uint32Array(native.slots);
    const add = (name: string, handler: NativeHandler) => {
      const operation = native.operation(name);
      handlers[operation] = handler;
      this.implemented[operation] = 1;
    };
    this.ready = new Promise((resolve) => {
      const signal = native.signal('init');
      add('init', (slot) => {
        signal(slot, 0);
        resolve();
      });
    });
    for (const name of Object.keys(NATIVE_CALLS)) add(name, this.#handler(native, name));
    this.handlers = handlers;
  }

  /** From now on every question is refused. */
  end(): void {
    this.#isOver = true;
  }

  #handler(native: FuseNative, name: string): NativeHandler {
    const call = NATIVE_CALLS[name];
    const signal = native.signal(name);
    return (slot, _, ...args) => {
      const refuse = (error: unknown): NativeAnswer => [
        -this.#errnoOf(error, name),
        ...(call?.failed?.(args) ?? []),
      ];
      const answer = this.#isOver
        ? Promise.resolve(refuse(new FuseError('ENOTCONN')))
        : (call?.run(this.#calls, slot, args) ?? Promise.reject(new FuseError('ENOSYS'))).catch(refuse);
      answer
        .then((values) => signal(slot, ...values))
        .catch((error: unknown) => this.#onUnexpectedError(error, name));
    };
  }

  #errnoOf(error: unknown, operation: string): number {
    if (error instanceof FuseError) return error.errno;
    this.#onUnexpectedError(error, operation);
    return ERRNO.EIO;
  }
}
