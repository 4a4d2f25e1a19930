/**
 * The benchmark: the same work with each tool on Apache behind a far line, in one run.
 *
 *     npm run bench -- [--only NAME]... [--tool NAME]... [--rtt MS] [--rate BYTES_PER_S] [--json FILE] [--list]
 */

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runWorkload } from './runner.js';
import { formatTable } from './table.js';
import { TOOLS } from './tools/index.js';
import type { Row, Tool, Workload } from './types.js';
import { WORKLOADS } from './workloads/index.js';

const DEFAULT_RTT_MS = 20;

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    tool: { type: 'string', multiple: true },
    rtt: { type: 'string' },
    rate: { type: 'string' },
    json: { type: 'string' },
    list: { type: 'boolean' },
  },
});

/** The chosen ones of `all`, or all; ends the program with a message for a name that is none of theirs. */
function choose<T extends { readonly name: string }>(
  all: readonly T[],
  names: readonly string[] | undefined,
): T[] {
  if (names === undefined) return [...all];
  const unknown = names.find((name) => !all.some((item) => item.name === name));
  if (unknown !== undefined) {
    process.stderr.write(`There is no "${unknown}"; there are: ${all.map((item) => item.name).join(', ')}\n`);
    process.exit(2);
  }
  return all.filter((item) => names.includes(item.name));
}

function installed(tools: readonly Tool[]): Tool[] {
  return tools.filter((tool) => {
    const missing = tool.missing();
    if (missing !== undefined) process.stderr.write(`left out: ${tool.name}: ${missing}\n`);
    return missing === undefined;
  });
}

async function runAll(workloads: readonly Workload[], tools: readonly Tool[]): Promise<Row[]> {
  const rows: Row[] = [];
  for (const workload of workloads) {
    const root = mkdtempSync(join(tmpdir(), 'infinimount-bench-root-'));
    chmodSync(root, 0o777);
    try {
      await workload.prepare(root);
      for (const tool of tools) {
        process.stderr.write(`${workload.name}: ${tool.name}\n`);
        rows.push(
          ...(await runWorkload(workload, tool, {
            root,
            rttMs: Number(values.rtt ?? DEFAULT_RTT_MS),
            ...(values.rate === undefined ? {} : { rateBytesPerS: Number(values.rate) }),
          })),
        );
      }
    } finally {
      rmSync(root, { recursive: true, force: true, maxRetries: 3 });
    }
  }
  return rows;
}

if (values.list === true) {
  for (const item of WORKLOADS) process.stdout.write(`${item.name.padEnd(14)}${item.title}\n`);
  process.stdout.write(`tools: ${TOOLS.map((tool) => tool.name).join(', ')}\n`);
} else {
  const workloads = choose(WORKLOADS, values.only);
  const rows = await runAll(workloads, installed(choose(TOOLS, values.tool)));
  process.stdout.write(formatTable(workloads, rows));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
  if (rows.some((row) => row.error !== undefined)) process.exitCode = 1;
}
