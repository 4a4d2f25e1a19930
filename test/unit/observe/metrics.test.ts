import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LookedUp, METRICS, Metrics, Tally } from '../../../src/observe/index.js';

const LOOKED_UP: LookedUp = {
  info: [{ labels: { version: '1.2.3', driver: 'kernel' }, value: 1 }],
  startTime: 1000,
  takeovers: 2,
  fuseInFlight: 3,
  fuseHeldBytes: 4,
  fuseInterrupts: 5,
  fuseUndelivered: 6,
  fuseMalformed: 7,
  notifyQueued: 8,
  openHandles: 9,
  connection: [{ labels: { state: 'online' }, value: 1 }],
  queueChanges: [{ labels: { state: 'pending' }, value: 10 }],
  queueBytes: 11,
  queueSentBytes: 12,
  paused: 0,
  conflicts: 13,
  cacheBytes: [{ labels: { kind: 'clean' }, value: 14 }],
  cacheFiles: [{ labels: { kind: 'clean' }, value: 15 }],
  cacheLimitBytes: 16,
  pins: 17,
  nodes: 18,
  capacityBytes: [],
};

const EXCHANGE = {
  method: 'GET',
  status: 200,
  error: undefined,
  queuedMs: 500,
  totalMs: 30,
  sentBytes: 0,
  receivedBytes: 1000,
};

async function lines(metrics: Metrics): Promise<readonly string[]> {
  const { contentType, text } = await metrics.scrape();
  assert.equal(contentType, 'text/plain; version=0.0.4; charset=utf-8');
  return text.split('\n');
}

function has(found: readonly string[], ...wanted: readonly string[]): void {
  const missing = wanted.filter((line) => !found.includes(line));
  assert.deepEqual(missing, []);
}

test('names are those that Prometheus wants, each once', () => {
  const all = Object.values(METRICS);
  assert.equal(new Set(all.map(({ name }) => name)).size, all.length);
  for (const { name, kind, help } of all) {
    assert.match(name, /^infinimount_[a-z0-9_]+$/);
    assert.equal(name.endsWith('_total'), kind === 'counter', name);
    assert.match(help, /^[A-Z0-9].*[^.]$/);
  }
});

test('what is counted and what is looked up stand in one text, with types and the figures of the process', async () => {
  const metrics = new Metrics();
  metrics.source = () => LOOKED_UP;
  metrics.fuseAnswered('lookup', 0.04, undefined);
  metrics.fuseAnswered('lookup', 0.04, undefined);
  metrics.fuseAnswered('lookup', 40_000, 'EIO');
  metrics.httpEnded(EXCHANGE);
  metrics.httpEnded({ ...EXCHANGE, status: 401 });
  metrics.httpEnded({ ...EXCHANGE, status: undefined, error: 'timeout', receivedBytes: 0 });
  metrics.uploaded(70);
  metrics.trouble('no-space');
  metrics.trouble('no-space');
  metrics.conflict();
  const found = await lines(metrics);
  has(
    found,
    '# TYPE infinimount_fuse_requests_total counter',
    'infinimount_fuse_requests_total{operation="lookup",errno="ok"} 2',
    'infinimount_fuse_requests_total{operation="lookup",errno="EIO"} 1',
    '# TYPE infinimount_fuse_request_seconds histogram',
    'infinimount_fuse_request_seconds_bucket{operation="lookup",le="0.00002"} 0',
    'infinimount_fuse_request_seconds_bucket{operation="lookup",le="0.00005"} 2',
    'infinimount_fuse_request_seconds_bucket{operation="lookup",le="30"} 2',
    'infinimount_fuse_request_seconds_bucket{operation="lookup",le="+Inf"} 3',
    'infinimount_fuse_request_seconds_count{operation="lookup"} 3',
    'infinimount_http_requests_total{method="GET",outcome="200"} 1',
    'infinimount_http_requests_total{method="GET",outcome="401"} 1',
    'infinimount_http_requests_total{method="GET",outcome="timeout"} 1',
    'infinimount_http_queued_seconds_total 1.5',
    'infinimount_received_bytes_total 2000',
    'infinimount_auth_refusals_total 1',
    'infinimount_uploads_total 1',
    'infinimount_uploaded_bytes_total 70',
    'infinimount_troubles_total{code="no-space"} 2',
    'infinimount_conflicts_total 1',
    'infinimount_info{version="1.2.3",driver="kernel"} 1',
    'infinimount_takeovers_total 2',
    'infinimount_nodes 18',
    '# TYPE process_resident_memory_bytes gauge',
    '# TYPE nodejs_eventloop_lag_seconds gauge',
  );
  const sum = found.find((line) => line.startsWith('infinimount_fuse_request_seconds_sum'));
  assert.ok(Math.abs(Number(sum?.split(' ')[1]) - 40.000_08) < 1e-6, sum);
  for (const { name, help } of Object.values(METRICS)) has(found, `# HELP ${name} ${help}`);
});

test('each scrape tells of its own moment; two mounts in one process do not mix', async () => {
  const [one, other] = [new Metrics(), new Metrics()];
  let takeovers = 0;
  one.source = () => ({ ...LOOKED_UP, takeovers });
  other.source = () => LOOKED_UP;
  one.uploaded(1);
  has(await lines(one), 'infinimount_takeovers_total 0', 'infinimount_uploads_total 1');
  takeovers = 1;
  one.uploaded(1);
  has(await lines(one), 'infinimount_takeovers_total 1', 'infinimount_uploads_total 2');
  has(await lines(other), 'infinimount_takeovers_total 2', 'infinimount_uploads_total 0');
});

test('labels are escaped', async () => {
  const metrics = new Metrics();
  metrics.source = () => LOOKED_UP;
  metrics.trouble('a"b\\c\nd');
  has(await lines(metrics), String.raw`infinimount_troubles_total{code="a\"b\\c\nd"} 1`);
});

test('however many kinds come, the memory is bounded and nothing is lost', () => {
  const tally = new Tally();
  for (let at = 0; at < 1000; at++) tally.note(`kind-${at}`, 1, `outcome-${at}`);
  for (let at = 0; at < 1000; at++) tally.note('kind-0', 1, `outcome-${at}`);
  const counts = tally.counts('operation', 'errno');
  assert.ok(tally.histograms('operation').length <= 257);
  assert.ok(counts.length <= 3 * 257);
  assert.equal(
    counts.reduce((sum, { value }) => sum + value, 0),
    2000,
  );
});

test('a duration on a bound counts below it', () => {
  const tally = new Tally();
  tally.note('x', 1, undefined);
  tally.note('x', 1.000_1, undefined);
  const [{ counts } = { counts: [] }] = tally.histograms('operation');
  assert.deepEqual(
    counts.map((count, at) => [at, count]).filter(([, count]) => count !== 0),
    [
      [5, 1],
      [6, 1],
    ],
  );
});
