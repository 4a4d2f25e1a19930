/** Self-signed certificates for the TLS tests, made by openssl(1). */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findComponent } from './component.js';

export interface TestCertificate {
  /** PEM texts. */
  readonly key: string;
  readonly cert: string;
}

/** A certificate for `names` (subjectAltName entries such as `IP:127.0.0.1`) that signs itself. */
export function makeCertificate(
  names: readonly string[] = ['IP:127.0.0.1', 'DNS:localhost'],
  days = 2,
): TestCertificate {
  const openssl = findComponent('openssl');
  const folder = mkdtempSync(join(tmpdir(), 'infinimount-cert-'));
  try {
    const key = join(folder, 'key.pem');
    const cert = join(folder, 'cert.pem');
    const alternatives = `subjectAltName=${names.join(',')}`;
    execFileSync(
      openssl,
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
        ...[
          '-keyout',
          key,
          '-out',
          cert,
          '-days',
          String(days),
          '-subj',
          '/CN=infinimount test',
          '-addext',
          alternatives,
        ],
      ],
      { stdio: 'ignore' },
    );
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
