/**
 * The benchmark: the same work with each tool on Apache behind a far line, in one run.
 *
 * `--results test/bench/RESULTS.md` writes the page that is checked in.
 */

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { currentLoad, describeMachine } from './machine.js';
import { formatResults } from './results.js';
import { runWorkload } from './runner.js';
import { formatTable } from './table.js';
import { TOOLS } from './tools/index.js';
import type { Row, Tool, Workload } from './types.js';
import { WORKLOADS } from './workloads/index.js';

const DEFAULT_RTT_MS = 20;
/** As a person types it; what follows is what was given. */
const COMMAND = 'npm run bench --';
const USAGE = `${COMMAND} [--only NAME]... [--tool NAME]... [--rtt MS] [--rate BYTES_PER_S] [--json FILE] [--results FILE] [--list]`;

const { values } = readCommand();

const rttMs = Number(values.rtt ?? DEFAULT_RTT_MS);

function readCommand() {
  try {
    return parseArgs({
      options: {
        only: { type: 'string', multiple: true },
        tool: { type: 'string', multiple: true },
        rtt: { type: 'string' },
        rate: { type: 'string' },
        json: { type: 'string' },
        results: { type: 'string' },
        list: { type: 'boolean' },
      },
    });
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n${USAGE}\n`);
    process.exit(2);
  }
}

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
    const lines = new Map<string, number>();
    try {
      await workload.prepare(root);
      for (const tool of tools) {
        if (workload.tools?.includes(tool.name) === false) continue;
        process.stderr.write(`${workload.name}: ${tool.name}\n`);
        rows.push(
          ...(await runWorkload(workload, tool, {
            root,
            lines,
            rttMs,
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
  const tools = installed(choose(TOOLS, values.tool));
  const loadBefore = currentLoad();
  const start = performance.now();
  const rows = await runAll(workloads, tools);
  const tookSeconds = (performance.now() - start) / 1000;
  process.stderr.write(`took ${tookSeconds.toFixed(0)} s\n`);
  process.stdout.write(formatTable(workloads, rows));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
  if (values.results !== undefined) {
    const page = formatResults(workloads, rows, {
      machine: await describeMachine(),
      date: new Date(),
      command: [COMMAND, ...process.argv.slice(2)].join(' '),
      rttMs,
      tookSeconds,
      load: [loadBefore, currentLoad()],
    });
    writeFileSync(values.results, page);
  }
  if (rows.some((row) => row.error !== undefined)) process.exitCode = 1;
}
