/** memfd_create(2), which Node lacks: a file in memory only, for what must reach a child process and never a disk. */

import { writeSync } from 'node:fs';

/** linux/memfd.h */
const MFD_CLOEXEC = 1;

type MemfdCreate = (name: string, flags: number) => number;

/**
 * A descriptor of a new file in memory that holds `text`, closed on exec. `name` shows in /proc only. Rejects with an
 * ErrnoException.
 */
export async function memoryFile(name: string, text: string): Promise<number> {
  // Loaded here, so that a command that needs none does not load a native module.
  const { default: koffi } = await import('koffi');
  const create = koffi
    .load(null)
    .func('int memfd_create(const char *name, unsigned int flags)') as MemfdCreate;
  const fd = create(name, MFD_CLOEXEC);
  if (fd < 0) {
    const errno = koffi.errno();
    throw Object.assign(new Error(`memfd_create: errno ${errno}`), { errno, syscall: 'memfd_create' });
  }
  const bytes = Buffer.from(text, 'utf8');
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, at);
  return fd;
}
