/** flock(2), which Node lacks: a lock that the kernel gives back however the process ends. */

/** sys/file.h */
const LOCK_EX = 2;
const LOCK_NB = 4;

type Flock = (fd: number, operation: number) => number;

/**
 * Takes the exclusive lock of an open file without waiting; false when another descriptor has it. Rejects with an
 * ErrnoException on any other failure.
 */
export async function tryLock(fd: number): Promise<boolean> {
  // Loaded here, so that a command that locks nothing does not load a native module.
  const { default: koffi } = await import('koffi');
  // The symbols of the process itself: the C library, whichever it is.
  const flock = koffi.load(null).func('int flock(int fd, int operation)') as Flock;
  if (flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const errno = koffi.errno();
  if (errno === koffi.os.errno.EWOULDBLOCK) return false;
  const name = Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
  throw Object.assign(new Error(`flock: ${name}`), { code: name, errno, syscall: 'flock' });
}
