/** `rclone serve webdav` over a local folder: a third WebDAV implementation (golang.org/x/net/webdav). */

import { existsSync, readFileSync, truncateSync } from 'node:fs';
import { findComponent } from './component.js';
import {
  type AccessLogEntry,
  type DavServer,
  DEFAULT_USERS,
  freePort,
  makeHandle,
  ServerHome,
  type ServerOptions,
  startProcess,
} from './server.js';

/** Its log has neither status nor headers; `options.users` has to name one user. */
export async function startRclone(options: ServerOptions = {}): Promise<DavServer> {
  const program = findComponent('rclone');
  const home = new ServerHome('rclone', options.root);
  const port = options.port ?? (await freePort());
  const users = options.users ?? DEFAULT_USERS;
  const basePath = options.basePath ?? '/dav/';
  home.writeSecrets(users, options.tls);
  const child = await startProcess({
    command: [
      program,
      ...['serve', 'webdav', home.root, '--addr', `127.0.0.1:${port}`, '--baseurl', basePath],
      ...[
        '--htpasswd',
        home.file('users'),
        '--config',
        home.file('rclone.conf'),
        '--cache-dir',
        home.file('cache'),
      ],
      ...[
        '--vfs-cache-mode',
        'off',
        '--dir-cache-time',
        '0s',
        '--log-level',
        'INFO',
        '--log-file',
        home.accessLog,
      ],
      ...(options.tls === undefined ? [] : ['--cert', home.file('cert.pem'), '--key', home.file('key.pem')]),
    ],
    home,
    port,
  });
  const log = {
    read: async () => parseLog(existsSync(home.accessLog) ? readFileSync(home.accessLog, 'utf8') : ''),
    clear: async () => {
      if (existsSync(home.accessLog)) truncateSync(home.accessLog);
    },
  };
  return makeHandle({ kind: 'rclone', home, child, port, users, basePath, options, log });
}

/** Lines such as `2026/01/02 03:04:05 INFO  : /dav/a.txt: PROPFIND from 127.0.0.1:1234`. */
function parseLog(text: string): AccessLogEntry[] {
  return [...text.matchAll(/ INFO {2}: (.+): ([A-Z]+) from \S+$/gm)].map(([, path = '', method = '']) => ({
    method,
    path,
    status: undefined,
    bytes: undefined,
    headers: {},
  }));
}
