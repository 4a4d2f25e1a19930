/** Who is at the other end of a unix socket, as the kernel knows it (unix(7), SO_PEERCRED). */

import type { Socket } from 'node:net';

/** sys/socket.h */
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
/** struct ucred: pid, uid, gid. */
const UCRED_BYTES = 12;
const UID_OFFSET = 4;

type GetSockOpt = (fd: number, level: number, name: number, value: Buffer, length: number[]) => number;

/** The user that connected a socket; undefined where the kernel does not tell, as of a connection that has gone. */
export type PeerUid = (socket: Socket) => number | undefined;

export async function openPeerUid(): Promise<PeerUid> {
  // Loaded here, so that a client does not load a native module.
  const { default: koffi } = await import('koffi');
  const getsockopt = koffi
    .load(null)
    .func(
      'int getsockopt(int fd, int level, int name, _Out_ void *value, _Inout_ uint32_t *length)',
    ) as GetSockOpt;
  return (socket) => {
    const fd = descriptorOf(socket);
    if (fd === undefined) return undefined;
    const credentials = Buffer.alloc(UCRED_BYTES);
    const length = [UCRED_BYTES];
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length) !== 0) return undefined;
    return length[0] === UCRED_BYTES ? credentials.readUInt32LE(UID_OFFSET) : undefined;
  };
}

/** Node shows the descriptor only on the handle beneath. */
function descriptorOf(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}
