/**
 * The branded scalar types that several layers share. A value of a branded type exists only through the
 * checking or allocating function of the layer that owns it.
 */

declare const brand: unique symbol;

/** A `T` that only the owner of the brand `B` may make. */
export type Branded<T, B extends string> = T & { readonly [brand]: B };

/** An inode number: positive, below 2^53, allocated by the state layer, never reused. It is the FUSE node id. */
export type Ino = Branded<number, 'Ino'>;

/** The root directory's inode number (FUSE_ROOT_ID in linux/fuse.h). */
export const ROOT_INO = 1 as Ino;

/** Nanoseconds since the epoch. */
export type Ns = bigint;

/** A value, or the promise of one: hot paths answer at once and only wait where something is far away. */
export type MaybePromise<T> = T | Promise<T>;

/** Marks a branch that the types say cannot be reached. */
export function assertNever(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
