/** nginx with its own WebDAV module for the writing verbs and dav-ext for PROPFIND and LOCK, from Debian's packages. */

import { writeFileSync } from 'node:fs';
import { findComponent } from './component.js';
import {
  AccessLog,
  type DavServer,
  DEFAULT_USERS,
  freePort,
  LOGGED_HEADERS,
  makeHandle,
  ServerHome,
  type ServerOptions,
  startProcess,
  webUserPrivileges,
} from './server.js';

const DAV_EXT = '/usr/lib/nginx/modules/ngx_http_dav_ext_module.so';

export async function startNginx(options: ServerOptions = {}): Promise<DavServer> {
  const program = findComponent('nginx');
  const home = new ServerHome('nginx', options.root);
  const port = options.port ?? (await freePort());
  const users = options.users ?? DEFAULT_USERS;
  const basePath = options.basePath ?? '/dav/';
  home.writeSecrets(users, options.tls);
  const config = home.file('nginx.conf');
  writeFileSync(config, configText(home, port, basePath, options.tls !== undefined), { mode: 0o644 });
  const child = await startProcess({
    command: [program, '-p', home.path, '-c', config, '-e', home.errorLog],
    privileges: webUserPrivileges(home),
    home,
    port,
  });
  const log = new AccessLog(home, port, options);
  return makeHandle({ kind: 'nginx', home, child, port, users, basePath, options, log });
}

function configText(home: ServerHome, port: number, basePath: string, tls: boolean): string {
  const headerFields = LOGGED_HEADERS.map((name) => `$http_${name.replaceAll('-', '_')}`).join('\\t');
  return `
load_module ${DAV_EXT};
daemon off;
master_process off;
pid "${home.file('nginx.pid')}";
error_log "${home.errorLog}" warn;
events { worker_connections 1024; }
http {
  log_format full escape=none "$status\\t$body_bytes_sent\\t$request\\t${headerFields}";
  access_log "${home.accessLog}" full;
  client_body_temp_path "${home.file('bodies')}";
  proxy_temp_path "${home.file('proxied')}";
  fastcgi_temp_path "${home.file('fastcgi')}";
  uwsgi_temp_path "${home.file('uwsgi')}";
  scgi_temp_path "${home.file('scgi')}";
  client_max_body_size 0;
  large_client_header_buffers 8 64k;
  keepalive_requests 1000000;
  keepalive_timeout 60s;
  dav_ext_lock_zone zone=locks:1m;
  server {
    listen 127.0.0.1:${port}${tls ? ' ssl' : ''};
    ${tls ? `ssl_certificate "${home.file('cert.pem')}"; ssl_certificate_key "${home.file('key.pem')}";` : ''}
    root "${home.path}/nothing";
    location ${basePath} {
      alias "${home.root}/";
      auth_basic "test";
      auth_basic_user_file "${home.file('users')}";
      dav_methods PUT DELETE MKCOL COPY MOVE;
      dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK;
      dav_ext_lock zone=locks;
      dav_access user:rw group:r all:r;
    }
  }
}
`;
}
