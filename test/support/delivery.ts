/** Deliveries of stores that have their bytes at hand. */

import { shutGate, writeGated } from '../../src/base/index.js';
import {
  type RemoteBody,
  type RemoteDelivery,
  RemoteError,
  type RemotePath,
} from '../../src/remote/index.js';

/** `body`, written into the file chunk by chunk. */
export function asDelivery(path: RemotePath, { chunks, ...head }: RemoteBody): RemoteDelivery {
  return {
    ...head,
    saveTo: async (file, onProgress) => {
      let at = head.start;
      try {
        for await (const chunk of chunks) {
          const written = writeGated(file, chunk, at);
          if (written !== 'written') {
            const code = written === 'shut' ? 'aborted' : 'protocol';
            throw new RemoteError(code, `Cannot read "${path}": the file takes no more`, {
              method: 'GET',
              path,
              outcome: 'none',
            });
          }
          onProgress(at, at + chunk.length);
          at += chunk.length;
        }
      } finally {
        shutGate(file.gate);
      }
    },
    abandon: () => undefined,
  };
}
