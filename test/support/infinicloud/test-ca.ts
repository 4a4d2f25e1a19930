/** A certificate authority for one test, and a server certificate that it signed; made by openssl(1). */

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findComponent } from '../servers/component.js';

const execFileAsync = promisify(execFile);

/** PEM texts. */
export interface TestChain {
  readonly caCert: string;
  readonly key: string;
  readonly cert: string;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'] as const;
const DAYS = '2';

/** `names`: subjectAltName entries such as `IP:127.0.0.11`. */
export async function makeTestChain(names: readonly string[]): Promise<TestChain> {
  const openssl = findComponent('openssl');
  const folder = await mkdtemp(join(tmpdir(), 'infinimount-ca-'));
  const at = (name: string) => join(folder, name);
  try {
    await execFileAsync(openssl, [
      ...['req', '-x509', ...KEY, '-keyout', at('ca.key'), '-out', at('ca.pem'), '-days', DAYS],
      ...['-subj', '/CN=infinimount test CA'],
    ]);
    await execFileAsync(openssl, [
      ...['req', ...KEY, '-keyout', at('server.key'), '-out', at('server.csr')],
      ...['-subj', '/CN=infinimount test server'],
    ]);
    await writeFile(at('extensions'), `subjectAltName=${names.join(',')}\nextendedKeyUsage=serverAuth\n`);
    await execFileAsync(openssl, [
      ...['x509', '-req', '-in', at('server.csr'), '-CA', at('ca.pem'), '-CAkey', at('ca.key')],
      ...['-CAcreateserial', '-out', at('server.pem'), '-days', DAYS, '-extfile', at('extensions')],
    ]);
    const [caCert, key, cert] = await Promise.all(
      ['ca.pem', 'server.key', 'server.pem'].map((name) => readFile(at(name), 'utf8')),
    );
    return { caCert: caCert ?? '', key: key ?? '', cert: cert ?? '' };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
