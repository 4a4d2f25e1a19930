/**
 * The way to the server, below WebDAV: the name, the certificate, the clock. The one request that is made carries no
 * credentials, and that is why it may look at a certificate that nobody vouches for.
 */

import { lookup } from 'node:dns/promises';
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP } from 'node:net';
import { type DetailedPeerCertificate, rootCertificates, TLSSocket } from 'node:tls';
import { systemErrorCode } from '../../base/index.js';
import { type Finding, type FindingState, findingsOf } from './doctor-finding.js';

const finding = findingsOf('server');

const LIMIT_MS = 10_000;
const DAY_MS = 24 * 60 * 60 * 1000;
/** A certificate that is renewed by a machine is renewed a month before its end. */
const SHORT_LIFE_DAYS = 14;
/** The Date header has whole seconds, and tokens are checked with some tolerance. */
const SKEW_WARN_MS = 60_000;
const SKEW_BAD_MS = 300_000;
/** Chains are three or four certificates long. */
const MAX_CHAIN = 10;

export async function examineLine(url: URL, ca: string | undefined): Promise<Finding[]> {
  const dns = await examineName(url.hostname);
  if (dns.state === 'bad') return [dns];
  try {
    const look = await lookAt(url, ca);
    const findings = [dns, ...(look.tls === undefined ? [] : [tlsFinding(look.tls)])];
    if (look.skewMs !== undefined) findings.push(clockFinding(look.skewMs));
    return findings;
  } catch (error) {
    const code = systemErrorCode(error);
    const found = `no connection to ${url.host}${code === undefined ? '' : ` (${code})`}`;
    return [
      dns,
      finding('connection', 'bad', found, 'Check the address, the network and a firewall between.'),
    ];
  }
}

async function examineName(hostname: string): Promise<Finding> {
  const name = hostname.replace(/^\[|\]$/g, '');
  if (isIP(name) !== 0) return finding('dns', 'ok', `${name} is an address: no name to look up`);
  const beginMs = performance.now();
  try {
    const addresses = await lookup(name, { all: true });
    const tookMs = Math.round(performance.now() - beginMs);
    const list = addresses.map(({ address }) => address).join(', ');
    return finding('dns', 'ok', `${name} is ${list} (${tookMs} ms)`, undefined, { tookMs });
  } catch (error) {
    const code = systemErrorCode(error) ?? 'unknown';
    const todo =
      code === 'ENOTFOUND' ? 'Check the host in the URL.' : 'Check the network and /etc/resolv.conf.';
    return finding('dns', 'bad', `${name} cannot be looked up (${code})`, todo);
  }
}

interface TlsLook {
  readonly protocol: string;
  /** The server's certificate first; names as they are printed. */
  readonly chain: readonly string[];
  readonly isComplete: boolean;
  readonly validToMs: number;
  /** Undefined: trusted. */
  readonly fault: string | undefined;
  /** Where the issuer's certificate can be had (RFC 5280 section 4.2.2.1). */
  readonly issuerUrl: string | undefined;
}

interface Look {
  readonly tls: TlsLook | undefined;
  /** Of the server's clock against ours; undefined without a Date header. */
  readonly skewMs: number | undefined;
}

function lookAt(url: URL, ca: string | undefined): Promise<Look> {
  const options = { method: 'HEAD', agent: false, timeout: LIMIT_MS } as const;
  const beginMs = Date.now();
  return new Promise((resolve, reject) => {
    const onAnswer = (answer: IncomingMessage) => {
      // Both clocks at the same moment, as near as the round trip lets one know.
      const nowMs = (beginMs + Date.now()) / 2;
      const serverMs = Date.parse(answer.headers.date ?? '');
      const { socket } = answer;
      resolve({
        tls: socket instanceof TLSSocket ? readTls(socket) : undefined,
        skewMs: Number.isNaN(serverMs) ? undefined : serverMs - nowMs,
      });
      answer.resume();
      request.destroy();
    };
    const request =
      url.protocol === 'https:'
        ? requestHttps(
            url,
            {
              ...options,
              minVersion: 'TLSv1.2',
              rejectUnauthorized: false,
              ...(ca === undefined ? {} : { ca: [...rootCertificates, ca] }),
            },
            onAnswer,
          )
        : requestHttp(url, options, onAnswer);
    request.once('timeout', () =>
      request.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })),
    );
    request.once('error', reject);
    request.end();
  });
}

function readTls(socket: TLSSocket): TlsLook {
  const chain: DetailedPeerCertificate[] = [];
  let at: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (at?.subject !== undefined && chain.length < MAX_CHAIN && !chain.includes(at)) {
    chain.push(at);
    at = at.issuerCertificate;
  }
  const [own] = chain;
  const top = chain.at(-1);
  // Its type says Error, and it is the code of OpenSSL.
  const fault: unknown = socket.authorizationError;
  return {
    protocol: socket.getProtocol() ?? 'TLS',
    chain: chain.map(({ subject }) => nameOf(subject)),
    isComplete: top !== undefined && nameOf(top.subject) === nameOf(top.issuer),
    validToMs: Date.parse(own?.valid_to ?? ''),
    fault: socket.authorized ? undefined : faultText(fault),
    issuerUrl: top?.infoAccess?.['CA Issuers - URI']?.[0],
  };
}

function faultText(fault: unknown): string {
  if (typeof fault === 'string') return fault;
  return systemErrorCode(fault) ?? 'not trusted';
}

function nameOf(name: DetailedPeerCertificate['subject']): string {
  return String(name.CN ?? name.O ?? 'unnamed');
}

function tlsFinding({ protocol, chain, isComplete, validToMs, fault, issuerUrl }: TlsLook): Finding {
  const daysLeft = Math.floor((validToMs - Date.now()) / DAY_MS);
  const found = `${protocol}, ${chain.join(' <- ')}, ${daysLeft} days left`;
  const figures = { daysLeft, protocol, chain: chain.join(' <- '), isComplete };
  if (fault !== undefined) {
    const missing = isComplete
      ? "If you trust it, give its authority's certificate with --ca-file FILE."
      : `The server does not send the certificates above its own: give the missing one with --ca-file FILE${issuerUrl === undefined ? '.' : `; it can be had from ${issuerUrl}`}`;
    return finding('tls', 'bad', `${found}; it is not trusted (${fault})`, missing, figures);
  }
  if (daysLeft >= SHORT_LIFE_DAYS) return finding('tls', 'ok', found, undefined, figures);
  return finding('tls', 'warn', found, 'The server needs a new certificate soon.', figures);
}

function clockFinding(skewMs: number): Finding {
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  const figures = { skewMs: Math.round(skewMs) };
  const state: FindingState =
    Math.abs(skewMs) > SKEW_BAD_MS ? 'bad' : Math.abs(skewMs) > SKEW_WARN_MS ? 'warn' : 'ok';
  if (state === 'ok')
    return finding('clock', 'ok', 'the clocks of server and machine agree', undefined, figures);
  const found = `this machine's clock is ${seconds} s ${skewMs > 0 ? 'behind' : 'ahead of'} the server's`;
  const todo =
    'Set the clock (timedatectl set-ntp true): certificates, tokens and times of files depend on it.';
  return finding('clock', state, found, todo, figures);
}
