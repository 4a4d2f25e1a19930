/** The two libc calls by which the end of a connection is noticed. Each returns the result or, negated, the errno. */

import koffi from 'koffi';

const lib = koffi.load(null);
const cFcntl = lib.func('int fcntl(int fd, int command, int64_t argument)');
const cPoll = lib.func('int poll(void *fds, uint64_t count, int timeoutMs)');

const F_DUPFD_CLOEXEC = 1030;

/** Another descriptor of the same open file, closed on exec. */
export function duplicate(fd: number): number {
  const result = Number(cFcntl(fd, F_DUPFD_CLOEXEC, 0));
  return result < 0 ? -koffi.errno() : result;
}

/** Whether poll(2) tells an error of the descriptor, at once: /dev/fuse has one when its connection is over. */
export function isBroken(fd: number): boolean {
  // struct pollfd: fd, events, revents. Errors are told unasked.
  const pollfd = Buffer.alloc(8);
  pollfd.writeInt32LE(fd, 0);
  return Number(cPoll(pollfd, 1, 0)) > 0;
}
