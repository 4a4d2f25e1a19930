/** The servers of the tests leave nobody behind. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { killGroup, waitUntil } from '../../support/exec.js';
import { freePort, ServerHome, startProcess, stopProcess } from '../../support/servers/server.js';

/** Does not hear SIGTERM, and has a child that holds its output open. */
const STUBBORN = `
  const { spawn } = require('node:child_process');
  process.on('SIGTERM', () => undefined);
  const child = spawn('sleep', ['600'], { stdio: 'inherit' });
  require('node:fs').writeFileSync(process.argv[2], String(child.pid));
  require('node:net').createServer().listen(Number(process.argv[3]), '127.0.0.1');
`;

describe('a server that does not end by itself', () => {
  test('is killed with its children, and its pipes are closed', async () => {
    const home = new ServerHome('stubborn', undefined);
    const script = home.file('server.cjs');
    const pidFile = home.file('pid');
    writeFileSync(script, STUBBORN);
    const port = await freePort();
    const child = await startProcess({
      command: [process.execPath, script, pidFile, String(port)],
      home,
      port,
    });
    try {
      await stopProcess(child);
      assert.equal(child.signalCode, 'SIGKILL');
      await waitUntil('its group to be gone', () => !isAlive(-(child.pid ?? 0)));
      assert.ok(child.stdout?.destroyed && child.stderr?.destroyed);
    } finally {
      killGroup(child);
      home.remove();
    }
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
