/**
 * The manager's end of sd_notify(3): a unix datagram socket that takes messages with the sender's credentials and the
 * descriptors that come along, as systemd's own does.
 */

import { closeSync, rmSync } from 'node:fs';
import koffi from 'koffi';

const lib = koffi.load(null);
const cSocket = lib.func('int socket(int domain, int type, int protocol)');
const cBind = lib.func('int bind(int fd, const void *address, uint32_t size)');
const cSetsockopt = lib.func('int setsockopt(int fd, int level, int name, const void *value, uint32_t size)');
const cRecvmsg = lib.func('int64_t recvmsg(int fd, void *message, int flags)');

type Native = (...args: readonly unknown[]) => number;

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const SOL_SOCKET = 1;
const SO_PASSCRED = 16;
const SCM_RIGHTS = 1;
const SCM_CREDENTIALS = 2;
const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const MAX_MESSAGE_BYTES = 4096;
const MAX_CONTROL_BYTES = 1024;
const CMSG_HEADER_BYTES = 16;
const POLL_EVERY_MS = 5;

export interface NotifyMessage {
  /** The process that sent it. */
  readonly pid: number;
  /** The lines `NAME=value`. */
  readonly fields: ReadonlyMap<string, string>;
  /** Ours to close. */
  readonly fds: readonly number[];
}

/** Bound to a path, or, beginning with `@`, to an abstract name. */
export class NotifyReceiver {
  readonly address: string;
  readonly #fd: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(address: string) {
    this.address = address;
    this.#fd = check((cSocket as Native)(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0), 'socket');
    const on = Buffer.alloc(4);
    on.writeInt32LE(1, 0);
    check((cSetsockopt as Native)(this.#fd, SOL_SOCKET, SO_PASSCRED, on, on.length), 'setsockopt');
    const name = Buffer.from(address.startsWith('@') ? `  \0${address.slice(1)}` : `  ${address}\0`);
    name.writeUInt16LE(AF_UNIX, 0);
    check((cBind as Native)(this.#fd, name, name.length), 'bind');
  }

  /** The message that waits, if one does. */
  take(): NotifyMessage | undefined {
    const data = Buffer.alloc(MAX_MESSAGE_BYTES);
    const control = Buffer.alloc(MAX_CONTROL_BYTES);
    const iovec = Buffer.alloc(16);
    iovec.writeBigUInt64LE(BigInt(koffi.address(data)), 0);
    iovec.writeBigUInt64LE(BigInt(data.length), 8);
    // struct msghdr: name, namelen (padded), iov, iovlen, control, controllen, flags (padded).
    const header = Buffer.alloc(56);
    header.writeBigUInt64LE(BigInt(koffi.address(iovec)), 16);
    header.writeBigUInt64LE(1n, 24);
    header.writeBigUInt64LE(BigInt(koffi.address(control)), 32);
    header.writeBigUInt64LE(BigInt(control.length), 40);
    const size = Number((cRecvmsg as Native)(this.#fd, header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
    if (size === -1 && koffi.errno() === koffi.os.errno.EAGAIN) return undefined;
    check(size, 'recvmsg');
    const lines = data.toString('utf8', 0, size).split('\n');
    const fields = new Map(
      lines
        .filter((line) => line.includes('='))
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const),
    );
    return { fields, ...readControl(control.subarray(0, Number(header.readBigUInt64LE(40)))) };
  }

  /** Calls `listener` for each message, until `close`. */
  listen(listener: (message: NotifyMessage) => void): void {
    this.#timer = setInterval(() => {
      for (let message = this.take(); message !== undefined; message = this.take()) listener(message);
    }, POLL_EVERY_MS);
  }

  close(): void {
    clearInterval(this.#timer);
    closeSync(this.#fd);
    if (!this.address.startsWith('@')) rmSync(this.address, { force: true });
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** cmsg(3): each a header of length, level and type, and its data, padded to 8. */
function readControl(control: Buffer): { readonly pid: number; readonly fds: readonly number[] } {
  let pid = 0;
  const fds: number[] = [];
  for (let at = 0; at + CMSG_HEADER_BYTES <= control.length; ) {
    const length = Number(control.readBigUInt64LE(at));
    if (length < CMSG_HEADER_BYTES) break;
    const type = control.readInt32LE(at + 12);
    if (type === SCM_CREDENTIALS) pid = control.readInt32LE(at + CMSG_HEADER_BYTES);
    if (type === SCM_RIGHTS) {
      for (let fd = at + CMSG_HEADER_BYTES; fd < at + length; fd += 4) fds.push(control.readInt32LE(fd));
    }
    at += Math.ceil(length / 8) * 8;
  }
  return { pid, fds };
}

function check(result: number, syscall: string): number {
  if (result === -1) throw new Error(`${syscall} failed with errno ${koffi.errno()}`);
  return result;
}
