/** Remote errors at the start of a mount, as a person has to read them: what is wrong, and what to do. */

import { AuthError, authUserError } from '../auth/index.js';
import { assertNever, quote, systemErrorCode, UserError } from '../base/index.js';
import type { RemoteError } from '../remote/index.js';

/** What the first request to the server's folder found. `url` is shown; it carries no credentials. */
export function remoteUserError(error: RemoteError, url: string): UserError {
  const at = quote(url);
  if (error.cause instanceof AuthError) return authUserError(error.cause, `log in to ${at}`);
  const cause = { cause: error };
  const status = error.status === undefined ? '' : ` (HTTP ${error.status})`;
  switch (error.code) {
    case 'unreachable':
    case 'interrupted':
      return new UserError(
        'unreachable',
        `Cannot reach ${at}: ${connectionFault(error)}`,
        'Check the address and the network, then try again.',
        cause,
      );
    case 'timeout':
      return new UserError(
        'unreachable',
        `Cannot reach ${at}: the server did not answer in time`,
        'Check the address and the network, or give it longer with --connect-timeout and --read-timeout.',
        cause,
      );
    case 'tls': {
      const { found, todo } = tlsFault(error, new URL(url).hostname);
      return new UserError('tls', `Cannot trust ${at}: ${found}`, todo, cause);
    }
    case 'unauthorized':
      return new UserError(
        'unauthorized',
        `Cannot log in to ${at}: the server does not accept this user and password${status}`,
        'Check --user and --password-file; InfiniCLOUD wants the apps password that MyPage shows under "Apps Connection".',
        cause,
      );
    case 'forbidden':
      return new UserError(
        'forbidden',
        `Cannot open ${at}: the server knows you and does not let you in${status}`,
        'Check that the URL is your own folder and that access by apps is switched on for the account.',
        cause,
      );
    case 'not-found':
    case 'parent-missing':
      return new UserError(
        'url-not-found',
        `Cannot open ${at}: there is no such folder on the server${status}`,
        'Check the path in the URL; InfiniCLOUD shows the right one in MyPage under "Apps Connection".',
        cause,
      );
    case 'not-webdav':
    case 'not-supported':
    case 'exists':
    case 'changed':
    case 'bad-name':
    case 'too-large':
    case 'protocol':
      return new UserError(
        'not-webdav',
        `Cannot use ${at}: what answers there is not a WebDAV folder${status}`,
        'Check the URL: it is not the address of the web pages, and often ends in /dav/ or /webdav/. InfiniCLOUD answers so too while "Apps Connection" is off in MyPage.',
        cause,
      );
    case 'redirect-refused':
      return new UserError(
        'redirect-refused',
        `Cannot use ${at}: the server sends on to another address, where your password does not belong${status}`,
        'Use the address that it leads to, if you trust it.',
        cause,
      );
    case 'throttled':
    case 'server':
    case 'locked':
    case 'no-space':
      return new UserError(
        'server-trouble',
        `Cannot open ${at}: the server is in trouble at the moment${status}`,
        'Try again later.',
        cause,
      );
    case 'aborted':
      return new UserError(
        'server-trouble',
        `Cannot open ${at}: the attempt was broken off`,
        'Try again.',
        cause,
      );
    default:
      return assertNever(error.code);
  }
}

/** Plain words for the codes of a failed connection (errno(3), getaddrinfo(3)). */
function connectionFault(error: RemoteError): string {
  const code = systemErrorCode(error);
  switch (code) {
    case 'ENOTFOUND':
      return 'there is no host of that name';
    case 'EAI_AGAIN':
      return 'the name cannot be looked up at the moment';
    case 'ECONNREFUSED':
      return 'nothing listens there (connection refused)';
    case 'ENETUNREACH':
    case 'EHOSTUNREACH':
      return 'there is no route to it';
    case 'ECONNRESET':
    case 'UND_ERR_SOCKET':
      return 'the connection was closed';
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
      return 'no connection within the time limit';
    default:
      return code === undefined ? 'there is no connection' : `there is no connection (${code})`;
  }
}

interface TlsFault {
  readonly found: string;
  readonly todo: string;
}

/** Plain words for the codes of a failed TLS handshake (Node: errors, "OpenSSL error codes"). */
function tlsFault(error: RemoteError, host: string): TlsFault {
  const code = systemErrorCode(error);
  const ownAuthority = "If you trust the server, give its authority's certificate with --ca-file FILE.";
  switch (code) {
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
      return {
        found: `its certificate is signed by nobody this machine knows (${code})`,
        todo: ownAuthority,
      };
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return {
        found: `its chain of certificates is incomplete or its authority unknown (${code})`,
        todo: 'Give the missing certificate with --ca-file FILE.',
      };
    case 'CERT_HAS_EXPIRED':
      return {
        found: 'its certificate has expired',
        todo: 'Check the clock of this machine; else the server needs a new one.',
      };
    case 'CERT_NOT_YET_VALID':
      return { found: 'its certificate is not valid yet', todo: 'Check the clock of this machine.' };
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return {
        found: `its certificate is for another name than ${host}`,
        todo: 'Check the host in the URL.',
      };
    default:
      return {
        found: `the TLS handshake failed${code === undefined ? '' : ` (${code})`}`,
        todo: 'Check that the port speaks https, with TLS 1.2 or later.',
      };
  }
}
