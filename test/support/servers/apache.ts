/** Apache 2.4 with mod_dav_fs from Debian's package, the reference server of the tests. */

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

const MODULES = '/usr/lib/apache2/modules';

/**
 * Serves `options.root` under `options.basePath`. Started by root it runs as www-data with the one capability that lets
 * it write into folders of any owner, so that a test may lay out files as it likes.
 */
export async function startApache(options: ServerOptions = {}): Promise<DavServer> {
  const program = findComponent('apache');
  const home = new ServerHome('apache', options.root);
  const port = options.port ?? (await freePort());
  const users = options.users ?? DEFAULT_USERS;
  home.writeSecrets(users, options.tls);
  const basePath = options.basePath ?? '/dav/';
  const config = home.file('apache.conf');
  writeFileSync(config, configText(home, port, basePath, options.tls !== undefined), { mode: 0o644 });
  const child = await startProcess({
    command: [program, '-f', config, '-D', 'FOREGROUND'],
    privileges: webUserPrivileges(home),
    home,
    port,
  });
  return makeHandle({
    kind: 'apache',
    home,
    child,
    port,
    users,
    basePath,
    options,
    log: new AccessLog(home, port, options),
  });
}

/** One module a line; Debian links the rest in. */
const LOADED = [
  'mpm_event',
  'authn_core',
  'authn_file',
  'authz_core',
  'authz_user',
  'auth_basic',
  'alias',
  'dir',
  'dav',
  'dav_fs',
] as const;

function configText(home: ServerHome, port: number, basePath: string, tls: boolean): string {
  const modules = tls ? [...LOADED, 'socache_shmcb', 'ssl'] : LOADED;
  const headerFields = LOGGED_HEADERS.map((name) => `%{${name}}i`).join('\\t');
  return `
${modules.map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`).join('\n')}
ServerRoot "${home.path}"
ServerName 127.0.0.1
Listen 127.0.0.1:${port}
PidFile "${home.file('apache.pid')}"
DefaultRuntimeDir "${home.path}"
Mutex "fcntl:${home.path}"
ErrorLog "${home.errorLog}"
LogLevel warn
LogFormat "%>s\\t%B\\t%r\\t${headerFields}" full
CustomLog "${home.accessLog}" full
DocumentRoot "${basePath === '/' ? home.root : home.path}"
StartServers 1
ServerLimit 2
ThreadsPerChild 64
MaxRequestWorkers 128
MinSpareThreads 1
MaxSpareThreads 128
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60
Timeout 60
LimitRequestLine 65536
LimitRequestFieldSize 65536
LimitXMLRequestBody 104857600
LimitRequestBody 0
DavLockDB "${home.file('locks')}"
${tls ? `SSLEngine on\nSSLProtocol -all +TLSv1.2 +TLSv1.3\nSSLCertificateFile "${home.file('cert.pem')}"\nSSLCertificateKeyFile "${home.file('key.pem')}"` : ''}
${basePath === '/' ? '' : `Alias ${basePath.slice(0, -1)} "${home.root}"`}
<Directory "/">
  Require all denied
</Directory>
<Directory "${home.root}">
  Dav On
  DavDepthInfinity Off
  DirectoryIndex disabled
  AllowOverride None
  AuthType Basic
  AuthName "test"
  AuthBasicProvider file
  AuthUserFile "${home.file('users')}"
  Require valid-user
</Directory>
`;
}
