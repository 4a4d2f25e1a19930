/** What the server does with our requests: the login, what it honours, how far away it is, how much goes through. */

import { randomBytes } from 'node:crypto';
import { type Clock, toName, UserError } from '../../base/index.js';
import type { ServerOptions } from '../../config/index.js';
import { InfiniCloudError } from '../../infinicloud/index.js';
import type { Logger } from '../../observe/index.js';
import {
  type Capabilities,
  isRemoteError,
  joinRemote,
  REMOTE_ROOT,
  type RemotePath,
  type RemoteStore,
} from '../../remote/index.js';
import { proveServer } from '../credentials/account.js';
import { restApi } from '../credentials/rest.js';
import { connect } from '../steering/connection.js';
import { type Finding, findingsOf } from './doctor-finding.js';

const finding = findingsOf('server');

const ROUND_TRIPS = 7;
const FIRST_PROBE_BYTES = 1024 * 1024;
const LARGE_PROBE_BYTES = 16 * 1024 * 1024;
/** When the first probe takes less than this, a larger one tells more. */
const FAST_MS = 400;
const TRANSFER_LIMIT_MS = 60_000;
const FAR_MS = 300;
const MEBIBYTE = 1024 * 1024;

export interface ServerExam {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Whether a file is sent and fetched to measure the line. */
  readonly throughput: boolean;
}

export async function examineServer(options: ServerOptions, exam: ServerExam): Promise<Finding[]> {
  const login = await examineLogin(options, exam);
  if (login.state === 'bad') return [login];
  const findings = [login];
  const connection = connect(options, exam);
  const { store } = connection;
  try {
    findings.push(await roundTrip(store, exam.signal));
    findings.push(...honours(await store.probe({ signal: exam.signal })));
    if (exam.throughput) findings.push(await throughput(store, exam));
    findings.push(await capacity(store, options, exam));
  } catch (error) {
    if (!isRemoteError(error)) throw error;
    findings.push(finding('server', 'bad', `the server stopped answering: ${error.message}`, 'Try again.'));
  } finally {
    await connection.close();
  }
  return findings;
}

async function examineLogin(options: ServerOptions, { logger, signal }: ServerExam): Promise<Finding> {
  try {
    await proveServer(options, { logger, signal });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return finding('login', 'bad', error.problem, error.hint);
  }
  const as = options.credentials?.user;
  return finding('login', 'ok', `the server lets ${as === undefined ? 'us' : as} into ${options.url}`);
}

async function roundTrip(store: RemoteStore, signal: AbortSignal): Promise<Finding> {
  const times: number[] = [];
  // The first one opens the connection.
  for (let count = 0; count <= ROUND_TRIPS; count += 1) {
    const beginMs = performance.now();
    await store.stat(REMOTE_ROOT, { signal });
    if (count > 0) times.push(performance.now() - beginMs);
  }
  const roundTripMs = Math.round((times.sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0) * 10) / 10;
  const isFar = roundTripMs > FAR_MS;
  return finding(
    'round-trip',
    isFar ? 'warn' : 'ok',
    `a request takes ${roundTripMs} ms (median of ${ROUND_TRIPS})`,
    isFar ? 'Check the network; raise freshness, so that listings are asked for less often.' : undefined,
    { roundTripMs },
  );
}

/** What it means where the server does not honour something. */
const MEANINGS: readonly {
  readonly key: keyof Capabilities;
  readonly name: string;
  readonly what: string;
  readonly without: string;
}[] = [
  {
    key: 'ifMatch',
    name: 'if-match',
    what: 'writes on condition of a version (If-Match)',
    without:
      'Before each upload the server is asked for its version: a change there at that very moment can be lost.',
  },
  {
    key: 'ifNoneMatch',
    name: 'if-none-match',
    what: 'new files only where none is (If-None-Match)',
    without: 'A file made at the same moment by another program under the same name can be overwritten.',
  },
  {
    key: 'ranges',
    name: 'ranges',
    what: 'parts of files (Range)',
    without: 'Files are fetched from their beginning: opening the end of a large file takes long.',
  },
  {
    key: 'etagOnPut',
    name: 'etag-on-put',
    what: 'the version of what was just written (ETag on PUT)',
    without: 'Each upload costs one more request.',
  },
  {
    key: 'deadProperties',
    name: 'dead-properties',
    what: 'properties of our own (PROPPATCH)',
    without: 'Times that you set are known on this machine only.',
  },
  {
    key: 'lock',
    name: 'lock',
    what: 'locks (LOCK)',
    without: 'Programs on other machines are not kept off a file; both versions are kept instead.',
  },
];

function honours(capabilities: Capabilities): Finding[] {
  return MEANINGS.map(({ key, name, what, without }) => {
    const has = capabilities[key];
    if (has === undefined)
      return finding(
        name,
        'note',
        `it is not known whether the server honours ${what}`,
        'It may be read-only.',
      );
    if (has) return finding(name, 'ok', `the server honours ${what}`, undefined, { honoured: true });
    return finding(name, 'note', `the server does not honour ${what}`, without, { honoured: false });
  });
}

async function throughput(store: RemoteStore, exam: ServerExam): Promise<Finding> {
  const name = toName(`.infinimount-doctor-${randomBytes(6).toString('hex')}`);
  if (name === undefined) throw new Error('the file of the measurement has no name');
  const path = joinRemote(REMOTE_ROOT, name);
  const signal = AbortSignal.any([exam.signal, AbortSignal.timeout(TRANSFER_LIMIT_MS)]);
  try {
    let up = await send(store, path, FIRST_PROBE_BYTES, signal);
    if (up.tookMs < FAST_MS) up = await send(store, path, LARGE_PROBE_BYTES, signal);
    const down = await fetchBack(store, path, signal);
    const upMbit = megabits(up);
    const downMbit = megabits(down);
    const size = `${up.sizeBytes / MEBIBYTE} MiB`;
    return finding(
      'throughput',
      'ok',
      `${upMbit} Mbit/s up, ${downMbit} Mbit/s down (one file of ${size})`,
      undefined,
      {
        upMbit,
        downMbit,
      },
    );
  } catch (error) {
    if (!isRemoteError(error)) throw error;
    return finding(
      'throughput',
      'warn',
      `the line could not be measured: ${error.message}`,
      whyNot(error.code),
    );
  } finally {
    // Not called off with the rest: the file must not stay behind.
    await store.remove(path).catch((error: unknown) => {
      if (!isRemoteError(error)) throw error;
    });
  }
}

function whyNot(code: string): string {
  if (code === 'no-space') return 'Free some space on the server.';
  return code === 'aborted'
    ? 'The line is very slow; try again at another time.'
    : 'The folder may be read-only.';
}

interface Transfer {
  readonly sizeBytes: number;
  readonly tookMs: number;
}

async function send(
  store: RemoteStore,
  path: RemotePath,
  sizeBytes: number,
  signal: AbortSignal,
): Promise<Transfer> {
  // What cannot be compressed on the way.
  const content = randomBytes(sizeBytes);
  const beginMs = performance.now();
  await store.write(path, { size: sizeBytes, open: () => content }, { condition: { kind: 'any' }, signal });
  return { sizeBytes, tookMs: performance.now() - beginMs };
}

async function fetchBack(store: RemoteStore, path: RemotePath, signal: AbortSignal): Promise<Transfer> {
  const beginMs = performance.now();
  const body = await store.read(path, { signal });
  let sizeBytes = 0;
  for await (const chunk of body.chunks) sizeBytes += chunk.length;
  return { sizeBytes, tookMs: performance.now() - beginMs };
}

function megabits({ sizeBytes, tookMs }: Transfer): number {
  return Math.round(((sizeBytes * 8) / 1000 / Math.max(tookMs, 1)) * 10) / 10;
}

async function capacity(store: RemoteStore, options: ServerOptions, exam: ServerExam): Promise<Finding> {
  const { rest, extraCaPem, url } = options;
  if (rest !== undefined) {
    try {
      const api = restApi(rest, { ca: extraCaPem, clock: exam.clock, log: exam.logger });
      const found = await api.capacity(new URL(url).host, exam.signal);
      if (found !== undefined) return room(found.usedBytes, found.quotaBytes, 'the REST API');
    } catch (error) {
      if (!(error instanceof InfiniCloudError)) throw error;
      return finding(
        'capacity',
        'warn',
        `the REST API does not tell the capacity: ${error.found}`,
        error.advice,
      );
    }
  }
  const quota = await store.quota({ signal: exam.signal });
  if (quota !== undefined) return room(quota.used, quota.used + quota.available, 'the server');
  return finding(
    'capacity',
    'note',
    'the server does not tell how much room there is',
    'Give an API key, or the size with --volume-size, so that df is right.',
  );
}

function room(usedBytes: number, quotaBytes: number, source: string): Finding {
  const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1);
  const isFull = usedBytes >= quotaBytes * 0.95;
  return finding(
    'capacity',
    isFull ? 'warn' : 'ok',
    `${gigabytes(usedBytes)} of ${gigabytes(quotaBytes)} GB are used, says ${source}`,
    isFull ? 'Free some space: uploads wait in the cache when there is none.' : undefined,
    { usedBytes, quotaBytes },
  );
}
