/**
 * The latency proxy as a process of its own, so that its CPU time is not the measured program's:
 *
 *     node --import tsx test/support/proxy/latency-main.ts --target PORT --rtt MS [--rate BYTES_PER_S]
 *
 * Prints `{"port":N}` when ready. Then reads commands from stdin, one a line, each answered by one line of JSON:
 * `stats`, `reset`, `online`, `offline`. Ends when stdin ends.
 */

import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { startLatencyProxy } from './latency.js';

const { values } = parseArgs({
  options: { target: { type: 'string' }, rtt: { type: 'string' }, rate: { type: 'string' } },
});

function numberOf(flag: string, text: string | undefined): number {
  const value = Number(text);
  if (text === undefined || !Number.isFinite(value) || value < 0) {
    process.stderr.write(`Cannot start the proxy: --${flag} is ${text}, must be a number\n`);
    process.exit(2);
  }
  return value;
}

const proxy = await startLatencyProxy({
  targetPort: numberOf('target', values.target),
  rttMs: numberOf('rtt', values.rtt),
  ...(values.rate === undefined ? {} : { rateBytesPerS: numberOf('rate', values.rate) }),
});
process.stdout.write(`${JSON.stringify({ port: proxy.port })}\n`);

for await (const line of createInterface({ input: process.stdin })) {
  const command = line.trim();
  if (command === 'reset') proxy.resetStats();
  if (command === 'online' || command === 'offline') proxy.setOnline(command === 'online');
  process.stdout.write(`${JSON.stringify(proxy.stats())}\n`);
}
await proxy.stop();
