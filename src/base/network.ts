/** What hosts and codes of the network mean, for whoever speaks HTTP. */

import { isIPv4 } from 'node:net';

/** Whether `hostname`, as URL gives it, is this machine (RFC 6761 section 6.3, RFC 5735, RFC 4291). */
export function isLoopbackHost(hostname: string): boolean {
  if (hostname === 'localhost' || hostname.endsWith('.localhost')) return true;
  return hostname === '[::1]' || (isIPv4(hostname) && hostname.startsWith('127.'));
}

/** Codes of OpenSSL as Node names them (https://nodejs.org/api/tls.html, "X509 certificate error codes"). */
const TLS_CODE =
  /^(?:ERR_TLS_|ERR_SSL_|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERROR_IN_CERT|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|HOSTNAME_MISMATCH)|^EPROTO$/;

/** Whether a system error code says that the certificate or the handshake was refused. */
export function isTlsCode(code: string): boolean {
  return TLS_CODE.test(code);
}
