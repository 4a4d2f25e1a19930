/**
 * The libc calls that Node lacks, by koffi. Each returns the result or, negated, the errno. Names, flags and struct
 * layouts are those of the man pages (section 2) on 64-bit little-endian Linux.
 *
 * Calls that may wait for the file system that this very process serves (mount, umount2, poll without limit) exist
 * only in an asynchronous form, which runs on the libuv thread pool.
 */

import koffi from 'koffi';

const lib = koffi.load(null);

const cRead = lib.func('int64_t read(int fd, void *buffer, uint64_t size)');
const cWrite = lib.func('int64_t write(int fd, const void *buffer, uint64_t size)');
const cPoll = lib.func('int poll(void *fds, uint64_t count, int timeoutMs)');
const cPpoll = lib.func('int ppoll(void *fds, uint64_t count, const void *timeout, const void *mask)');
const cEventfd = lib.func('int eventfd(unsigned int initial, int flags)');
const cMount = lib.func(
  'int mount(const char *source, const char *target, const char *type, uint64_t flags, const char *data)',
);
const cUmount2 = lib.func('int umount2(const char *target, int flags)');
const cSocketpair = lib.func('int socketpair(int domain, int type, int protocol, void *pair)');
const cRecvmsg = lib.func('int64_t recvmsg(int fd, void *message, int flags)');
const cFcntl = lib.func('int fcntl(int fd, int command, int64_t argument)');
const cIoctl = lib.func('int ioctl(int fd, uint64_t request, const void *argument)');

type Native = (...args: readonly unknown[]) => number;

function errnoOr(result: number): number {
  return result === -1 ? -koffi.errno() : result;
}

/** Runs `call` on the thread pool. */
function later(call: { async: (...args: unknown[]) => void }, args: readonly unknown[]): Promise<number> {
  return new Promise((resolve, reject) => {
    call.async(...args, (error: Error | null, result: number) => {
      if (error) reject(error);
      else resolve(errnoOr(Number(result)));
    });
  });
}

/** read(2) into the beginning of `buffer`. */
export function readInto(fd: number, buffer: Buffer, size: number): number {
  return errnoOr((cRead as Native)(fd, buffer, size));
}

/** write(2) from the beginning of `buffer`. */
export function writeFrom(fd: number, buffer: Uint8Array, size: number): number {
  return errnoOr((cWrite as Native)(fd, buffer, size));
}

const POLLIN = 0x1;
/** struct pollfd. */
const POLLFD_BYTES = 8;

/** A set of descriptors to wait on until one is readable or broken. */
export class PollSet {
  readonly #fds: Buffer;
  readonly #count: number;

  constructor(fds: readonly number[]) {
    this.#count = fds.length;
    this.#fds = Buffer.alloc(fds.length * POLLFD_BYTES);
    fds.forEach((fd, index) => {
      this.#fds.writeInt32LE(fd, index * POLLFD_BYTES);
      this.#fds.writeInt16LE(POLLIN, index * POLLFD_BYTES + 4);
    });
  }

  /** poll(2) on the thread pool without time limit. The number of ready descriptors, or a negative errno. */
  wait(): Promise<number> {
    return later(cPoll, [this.#fds, this.#count, -1]);
  }

  /** ppoll(2) on this thread for at most `timeout` (see {@link timespec}). */
  waitHere(timeout: Buffer): number {
    return errnoOr((cPpoll as Native)(this.#fds, this.#count, timeout, null));
  }
}

/** struct timespec of a time below one second. */
export function timespec(microseconds: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32LE(microseconds * 1000, 8);
  return bytes;
}

const EFD_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;

/** eventfd(2), non-blocking. */
export function eventFd(): number {
  return errnoOr((cEventfd as Native)(0, EFD_NONBLOCK_CLOEXEC));
}

/** Mount flags (linux/mount.h). */
export const MS = { RDONLY: 1, NOSUID: 2, NODEV: 4, NOEXEC: 8, REMOUNT: 32, NOATIME: 1024 } as const;
/** umount2(2) flags. */
export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;

/** mount(2). */
export function mount(
  source: string,
  target: string,
  type: string,
  flags: number,
  data: string,
): Promise<number> {
  return later(cMount, [source, target, type, flags, data]);
}

/** umount2(2). It may wait until the file system has answered what it is asked at unmount. */
export function umount(target: string, flags: number): Promise<number> {
  return later(cUmount2, [target, flags]);
}

const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 1 | 0o2000000;

/** socketpair(2) of stream sockets, closed on exec. A negative errno instead of the pair on failure. */
export function socketPair(): readonly [number, number] | number {
  const pair = Buffer.alloc(8);
  const result = errnoOr((cSocketpair as Native)(AF_UNIX, SOCK_STREAM_CLOEXEC, 0, pair));
  return result < 0 ? result : [pair.readInt32LE(0), pair.readInt32LE(4)];
}

const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
/** CMSG_SPACE(sizeof(int)): cmsghdr of 16 bytes and one int, padded to 8. */
const CMSG_SPACE_INT = 24;
/** CMSG_LEN(sizeof(int)). */
const CMSG_LEN_INT = 20;

/** Takes the descriptor that waits on the unix socket `fd` (unix(7), SCM_RIGHTS); -ENODATA (61) when none does. */
export function receiveDescriptor(fd: number): number {
  const data = Buffer.alloc(8);
  const control = Buffer.alloc(CMSG_SPACE_INT);
  const iovec = Buffer.alloc(16);
  iovec.writeBigUInt64LE(BigInt(koffi.address(data)), 0);
  iovec.writeBigUInt64LE(BigInt(data.length), 8);
  // struct msghdr: name, namelen (padded), iov, iovlen, control, controllen, flags (padded).
  const header = Buffer.alloc(56);
  header.writeBigUInt64LE(BigInt(koffi.address(iovec)), 16);
  header.writeBigUInt64LE(1n, 24);
  header.writeBigUInt64LE(BigInt(koffi.address(control)), 32);
  header.writeBigUInt64LE(BigInt(control.length), 40);
  const received = errnoOr((cRecvmsg as Native)(fd, header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
  if (received < 0) return received;
  const isRights =
    header.readBigUInt64LE(40) >= BigInt(CMSG_LEN_INT) &&
    control.readInt32LE(8) === SOL_SOCKET &&
    control.readInt32LE(12) === SCM_RIGHTS;
  return isRights ? control.readInt32LE(16) : -61;
}

const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;

/** Sets O_NONBLOCK on the open file description of `fd`. */
export function setNonBlocking(fd: number): number {
  const flags = errnoOr((cFcntl as Native)(fd, F_GETFL, 0));
  return flags < 0 ? flags : errnoOr((cFcntl as Native)(fd, F_SETFL, flags | O_NONBLOCK));
}

/** ioctl(2) with a pointer argument. */
export function ioctl(fd: number, request: number, argument: Buffer): number {
  return errnoOr((cIoctl as Native)(fd, request, argument));
}
