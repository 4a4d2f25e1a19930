/** Who is at the other end of a unix socket, and whether there is anybody, as the kernel knows it (unix(7)). */

import type { Socket } from 'node:net';

/** sys/socket.h */
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
/** struct ucred: pid, uid, gid. */
const UCRED_BYTES = 12;
const UID_OFFSET = 4;
/** struct pollfd (poll(2)): descriptor, events, what was found. */
const POLLFD_BYTES = 8;
const FOUND_OFFSET = 6;
const POLLHUP = 0x10;

type Poll = (fds: Buffer, count: number, timeoutMs: number) => number;
type GetSockOpt = (fd: number, level: number, name: number, value: Buffer, length: number[]) => number;

export interface Peers {
  /** The user that connected a socket; undefined where the kernel does not tell, as of a connection that has gone. */
  uidOf(socket: Socket): number | undefined;
  /** Whether the other side has closed the connection altogether, so that nobody reads an answer. */
  isGone(socket: Socket): boolean;
}

export async function openPeers(): Promise<Peers> {
  // Loaded here, so that a client does not load a native module.
  const { default: koffi } = await import('koffi');
  const lib = koffi.load(null);
  const getsockopt = lib.func(
    'int getsockopt(int fd, int level, int name, _Out_ void *value, _Inout_ uint32_t *length)',
  ) as GetSockOpt;
  const poll = lib.func('int poll(_Inout_ void *fds, uint64_t count, int timeoutMs)') as Poll;
  return {
    uidOf: (socket) => {
      const fd = descriptorOf(socket);
      if (fd === undefined) return undefined;
      const credentials = Buffer.alloc(UCRED_BYTES);
      const length = [UCRED_BYTES];
      if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length) !== 0) return undefined;
      return length[0] === UCRED_BYTES ? credentials.readUInt32LE(UID_OFFSET) : undefined;
    },
    isGone: (socket) => {
      const fd = descriptorOf(socket);
      if (fd === undefined) return true;
      const asked = Buffer.alloc(POLLFD_BYTES);
      asked.writeInt32LE(fd);
      return poll(asked, 1, 0) === 1 && (asked.readUInt16LE(FOUND_OFFSET) & POLLHUP) !== 0;
    },
  };
}

/** Node shows the descriptor only on the handle beneath. */
function descriptorOf(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}
