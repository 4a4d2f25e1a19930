/**
 * Sending on a unix datagram socket, with descriptors attached: what sd_notify(3) is made of and Node lacks. It sends
 * only; nothing here knows what the messages say.
 */

import { closeSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';

const lib = koffi.load(null);

const cSocket = lib.func('int socket(int domain, int type, int protocol)');
const cConnect = lib.func('int connect(int fd, const void *address, uint32_t size)');
const cSendmsg = lib.func('int64_t sendmsg(int fd, const void *message, int flags)');
const cSetsockopt = lib.func('int setsockopt(int fd, int level, int name, const void *value, uint32_t size)');

type Native = (...args: readonly unknown[]) => number;

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const SOL_SOCKET = 1;
const SO_SNDTIMEO = 21;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** sizeof(struct sockaddr_un) less the family: what a path with its final zero, or an abstract name, may take. */
const MAX_ADDRESS_BYTES = 108;
/** struct cmsghdr: length, level, type. */
const CMSG_HEADER_BYTES = 16;
/** CMSG_SPACE(sizeof(int)): the header and one int, padded to 8. */
const CMSG_SPACE_INT = 24;
/** struct msghdr on 64-bit Linux. */
const MSGHDR_BYTES = 56;
/** struct timeval. */
const TIMEVAL_BYTES = 16;
const MICROSECONDS = 1_000_000;

/** A connected unix datagram socket. Failures are thrown as Node's ErrnoException. */
export class UnixDatagram {
  #fd: number | undefined;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Connects to `address`: an absolute path, or `@` and a name for the abstract namespace (unix(7)). A send that waits
   * for the receiver gives up after `waitMs`.
   */
  static connect(address: string, waitMs: number): UnixDatagram {
    const fd = check((cSocket as Native)(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0), 'socket');
    try {
      const timeval = Buffer.alloc(TIMEVAL_BYTES);
      const waitUs = waitMs * 1000;
      timeval.writeBigInt64LE(BigInt(Math.floor(waitUs / MICROSECONDS)), 0);
      timeval.writeBigInt64LE(BigInt(waitUs % MICROSECONDS), 8);
      check((cSetsockopt as Native)(fd, SOL_SOCKET, SO_SNDTIMEO, timeval, timeval.length), 'setsockopt');
      const name = socketAddress(address);
      check((cConnect as Native)(fd, name, name.length), 'connect');
      return new UnixDatagram(fd);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /**
   * Sends one datagram, with a descriptor if one is given. False when the receiver's queue is full: at once if `wait` is
   * false, else after the time given to `connect`.
   */
  send(text: string, options: { readonly wait: boolean; readonly fd?: number }): boolean {
    if (this.#fd === undefined) throw new Error('the socket is closed');
    const data = Buffer.from(text);
    // struct iovec: base, length.
    const iovec = Buffer.alloc(16);
    iovec.writeBigUInt64LE(BigInt(koffi.address(data)), 0);
    iovec.writeBigUInt64LE(BigInt(data.length), 8);
    // struct msghdr: name, namelen (padded), iov, iovlen, control, controllen, flags (padded).
    const header = Buffer.alloc(MSGHDR_BYTES);
    header.writeBigUInt64LE(BigInt(koffi.address(iovec)), 16);
    header.writeBigUInt64LE(1n, 24);
    const control = options.fd === undefined ? undefined : rights(options.fd);
    if (control !== undefined) {
      header.writeBigUInt64LE(BigInt(koffi.address(control)), 32);
      header.writeBigUInt64LE(BigInt(control.length), 40);
    }
    const flags = MSG_NOSIGNAL | (options.wait ? 0 : MSG_DONTWAIT);
    if ((cSendmsg as Native)(this.#fd, header, flags) !== -1) return true;
    const errno = koffi.errno();
    if (errno === koffi.os.errno.EAGAIN || errno === koffi.os.errno.ENOBUFS) return false;
    throw errnoException(errno, 'sendmsg');
  }

  close(): void {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd !== undefined) closeSync(fd);
  }
}

/** struct sockaddr_un, as long as it is used. */
function socketAddress(address: string): Buffer {
  const isAbstract = address.startsWith('@');
  const name = Buffer.from(isAbstract ? `\0${address.slice(1)}` : `${address}\0`);
  if (name.length > MAX_ADDRESS_BYTES) throw errnoException(koffi.os.errno.ENAMETOOLONG, 'connect');
  const family = Buffer.alloc(2);
  family.writeUInt16LE(AF_UNIX, 0);
  return Buffer.concat([family, name]);
}

/** A control message that passes one descriptor (cmsg(3)). */
function rights(fd: number): Buffer {
  const control = Buffer.alloc(CMSG_SPACE_INT);
  control.writeBigUInt64LE(BigInt(CMSG_HEADER_BYTES + 4), 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  control.writeInt32LE(fd, CMSG_HEADER_BYTES);
  return control;
}

function check(result: number, syscall: string): number {
  if (result === -1) throw errnoException(koffi.errno(), syscall);
  return result;
}

function errnoException(errno: number | undefined, syscall: string): NodeJS.ErrnoException {
  if (errno === undefined) return new Error(`${syscall} failed`);
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`${code}, ${syscall}`), { code, errno: -errno, syscall });
}
