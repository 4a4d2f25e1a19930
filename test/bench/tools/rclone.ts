/** `rclone mount` with its full cache, other options as they come. */

import { missingCommands, runOk } from '../../support/exec.js';
import { serveMount } from '../../support/mount/index.js';
import type { Tool } from '../types.js';

export const rclone: Tool = {
  name: 'rclone',
  missing: () =>
    missingCommands(['rclone', 'fusermount3']).length > 0 ? 'rclone is not installed' : undefined,
  mount: async ({ server, mountPoint, cacheDir }) => {
    const obscured = (await runOk(['rclone', 'obscure', server.password])).trim();
    const served = await serveMount({
      argv: ['rclone', 'mount', ':webdav:', mountPoint, '--vfs-cache-mode', 'full', '--cache-dir', cacheDir],
      mountPoint,
      ready: 'mount-table',
      env: {
        RCLONE_CONFIG: '/dev/null',
        RCLONE_WEBDAV_URL: server.url,
        RCLONE_WEBDAV_USER: server.user,
        RCLONE_WEBDAV_PASS: obscured,
      },
      stopTimeoutMs: 60_000,
    });
    return { path: mountPoint, pid: served.pid, stop: () => served.clear() };
  },
};
