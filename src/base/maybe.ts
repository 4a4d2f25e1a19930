/** Going on with a value that is mostly here already and sometimes a promise. */

import type { MaybePromise } from './types.js';

/** `next` of `value`: at once when it is a plain value, so that no task switch lies between the two. */
export function after<T, U>(value: MaybePromise<T>, next: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}
