/** Who takes a mount over and with what, and how it is released where nobody can. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { killGroup, run, skipWithout, waitUntil } from '../support/exec.js';
import { killQuietly } from '../support/mount/process.js';
import { SurvivingMount } from '../support/mount/surviving.js';
import { bigFile } from './outlive-content.js';
import { CALL_LIMIT_MS, Scene, WAITING_LIMIT_MS } from './outlive-scene.js';
import { SKIP_MOUNT, type TempDir } from './setup.js';

/** For daemons that are started and die tens of times, each after seconds on a busy machine. */
const END_MS = 400_000;

describe('the keeper of a mount', { skip: SKIP_MOUNT }, () => {
  test('a keeper that is killed is replaced, and ends with the daemon', async () => {
    await using scene = await Scene.start();
    await using mount = await scene.mount();
    const [first] = mount.keepers();
    assert.ok(first !== undefined);
    killQuietly(first);
    await waitUntil('another keeper', () => mount.keepers().some((pid) => pid !== first));
    await mount.killDaemon();
    assert.equal(await scene.sh('echo kept > a; cat a'), 'kept\n');
    await waitUntil(
      'one daemon and one keeper',
      () => mount.daemons().length === 1 && mount.keepers().length === 1,
    );
    await mount.unmount();
  });

  test('after the end of daemon and keeper the same command mounts again', async () => {
    await using scene = await Scene.start();
    {
      await using mount = await scene.mount();
      await scene.sh('echo before > a');
      for (const pid of [...mount.keepers(), ...mount.daemons()]) killQuietly(pid);
      await waitUntil('the processes to end', () => mount.daemons().length === 0);
      assert.ok(mount.isMounted, 'the dead mount is still there');
      await using again = await scene.mount();
      assert.equal(await scene.sh('cat a; echo after > b; cat b'), 'before\nafter\n');
      await again.unmount();
    }
  });

  test('a read that waits for a silent server outlives the daemon', async () => {
    await using scene = await Scene.start();
    const content = bigFile();
    writeFileSync(join(scene.server.root, 'big'), content);
    await using mount = await scene.mount();
    await scene.sh('head -c 1 big > /dev/null');
    scene.proxy.setHeld(true);
    const reading = run(['sha256sum', join(scene.mountPoint, 'big')], { timeoutMs: 60_000 });
    await delay(500);
    await mount.killDaemon();
    await waitUntil('another daemon', () => mount.takeovers === 1);
    scene.proxy.setHeld(false);
    const { stdout, stderr } = await reading;
    assert.equal(stdout.split(' ')[0], createHash('sha256').update(content).digest('hex'), stderr);
    await mount.unmount();
  });

  test('without RESEND a request under way is interrupted, and open files go on', async () => {
    await using scene = await Scene.start();
    writeFileSync(join(scene.server.root, 'big'), bigFile());
    await using mount = await scene.mount(['--fuse-minor', '36']);
    await scene.sh('echo written > a');
    const go = scene.temp.at('go');
    const appending = scene.sh(`exec 3>>a; while [ ! -e ${go} ]; do sleep 0.05; done; echo more >&3`);
    scene.proxy.setHeld(true);
    const reading = run(['sha256sum', join(scene.mountPoint, 'big')], { timeoutMs: CALL_LIMIT_MS });
    await delay(500);
    await mount.killDaemon();
    const { code, timedOut, stderr } = await reading;
    assert.ok(!timedOut && code !== 0, 'the read that nobody answers any more ends');
    assert.match(stderr, /Interrupted system call/);
    scene.proxy.setHeld(false);
    writeFileSync(go, '');
    await appending;
    assert.equal(await scene.sh('cat a'), 'written\nmore\n');
    assert.equal(mount.takeovers, 1);
    await mount.unmount();
  });

  test('SIGUSR2 puts the program on the disk in the place of the daemon, and open files go on', async () => {
    await using scene = await Scene.start();
    await using mount = await scene.mount();
    const [pid] = mount.daemons();
    const [keeper] = mount.keepers();
    assert.ok(pid !== undefined && keeper !== undefined);
    const go = scene.temp.at('go');
    const appending = scene.sh(
      `exec 3>a; echo one >&3; while [ ! -e ${go} ]; do sleep 0.05; done; echo two >&3; rm a; echo three >&3`,
      WAITING_LIMIT_MS,
    );
    await waitUntil('the program to have begun', () => mount.isMounted);
    await delay(300);
    process.kill(pid, 'SIGUSR2');
    await waitUntil('the new program', () => mount.takeovers === 1);
    assert.deepEqual(mount.daemons(), [pid], mount.log);
    await waitUntil(
      'a new keeper alone',
      () => mount.keepers().length === 1 && !mount.keepers().includes(keeper),
    );
    writeFileSync(go, '');
    await appending;
    assert.equal(await scene.sh('ls'), '');
    await mount.killDaemon();
    assert.equal(await scene.sh('echo x > b; cat b'), 'x\n');
    await mount.unmount();
  });

  test('a typed password is handed over in memory, and a closed terminal ends nothing', {
    skip: skipWithout('script'),
  }, async () => {
    await using scene = await Scene.start();
    await using mount = SurvivingMount.of(scene.mountPoint);
    const words = scene
      .argv()
      .filter((word) => word !== '--password-file' && word !== scene.temp.at('password'));
    // script(1) is the terminal, which closes when the first daemon ends.
    const terminal = spawn('script', ['-qec', words.map((word) => `'${word}'`).join(' '), '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    });
    try {
      let shown = '';
      terminal.stdout.on('data', (chunk: Buffer) => {
        shown += chunk;
      });
      await waitUntil('the question', () => shown.includes('Password of'));
      terminal.stdin.write(`${scene.server.password}\n`);
      await waitUntil('the mount', () => shown.includes('infinimount: mounted'));
      assert.ok(!shown.includes(scene.server.password));
      const [first] = mount.daemons();
      await mount.killDaemon();
      await waitUntil('the end of the terminal', () => terminal.exitCode !== null);
      await scene.sh('echo x > a');
      assert.ok(!mount.daemons().includes(first ?? 0));
      await waitUntil('the file on the server', () => existsSync(join(scene.server.root, 'a')));
      const [daemon] = mount.daemons();
      for (const name of ['cmdline', 'environ']) {
        assert.ok(!readFileSync(`/proc/${daemon}/${name}`, 'utf8').includes(scene.server.password));
      }
      // It logs to the terminal that is gone.
      await mount.killDaemon();
      assert.equal(await scene.sh('cat a'), 'x\n');
      await mount.unmount();
    } finally {
      killGroup(terminal);
    }
  });

  test('a daemon that cannot start says why, and the mount is released', async () => {
    await using scene = await Scene.start();
    await using mount = await scene.mount();
    await scene.sh('echo x > a');
    writeFileSync(scene.temp.at('cache', 'cache.json'), 'damaged');
    await mount.killDaemon();
    await mount.gone();
    assert.match(mount.log, /cache\.json is damaged/);
    assert.equal(mount.takeovers, 0);
  });

  test('daemons that die at their start: the mount is released', async () => {
    await using scene = await Scene.start();
    const hook = crashHook(scene.temp, 'at its start');
    await using mount = await scene.mount([], { env: { NODE_OPTIONS: `--require ${hook.script}` } });
    await scene.sh('echo x > a');
    hook.arm();
    await mount.killDaemon();
    await mount.gone(END_MS);
    assert.match(mount.log, /died again and again; the mount on .* was released/);
  });

  test('daemons that die soon after they took over: the mount is released', async () => {
    await using scene = await Scene.start();
    const hook = crashHook(scene.temp, 'when it has taken over');
    await using mount = await scene.mount([], { env: { NODE_OPTIONS: `--require ${hook.script}` } });
    await scene.sh('echo x > a');
    hook.arm();
    await mount.killDaemon();
    await mount.gone(END_MS);
    assert.match(mount.log, /its daemon died 26 times in a row, and it was released/);
    assert.equal(mount.takeovers, 25);
  });
});

const DEATHS = {
  'at its start': 'process.exit(1)',
  'when it has taken over': `const { writeSync } = fs;
    fs.writeSync = (fd, text, ...rest) => {
      const written = writeSync(fd, text, ...rest);
      if (String(text).includes('has taken over')) process.kill(process.pid, 'SIGKILL');
      return written;
    }`,
} as const;

/** A script for `node --require` that ends each daemon, once it is armed. */
function crashHook(temp: TempDir, when: keyof typeof DEATHS): { readonly script: string; arm(): void } {
  const script = temp.at('crash.cjs');
  const flag = temp.at('armed');
  writeFileSync(
    script,
    `const fs = require('node:fs');\nif (fs.existsSync('${flag}')) { ${DEATHS[when]} }\n`,
  );
  return { script, arm: () => writeFileSync(flag, '') };
}
