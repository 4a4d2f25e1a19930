/** flock(2), which Node lacks: a lock that the kernel gives back however the process ends. */

import koffi from 'koffi';

/** sys/file.h */
const LOCK_EX = 2;
const LOCK_NB = 4;

type Flock = (fd: number, operation: number) => number;
let flock: Flock | undefined;

/** Takes the exclusive lock of an open file without waiting; false when another process has it. Throws on any other failure. */
export function tryLock(fd: number): boolean {
  // The symbols of the process itself: the C library, whichever it is.
  flock ??= koffi.load(null).func('int flock(int fd, int operation)') as Flock;
  if (flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const errno = koffi.errno();
  if (errno === koffi.os.errno.EWOULDBLOCK) return false;
  const name = Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
  throw Object.assign(new Error(`flock: ${name}`), { code: name, errno, syscall: 'flock' });
}
