/** What `service` writes, says and asks of systemd; the real one is in test/systemd. */

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { UserError } from '../../../src/base/index.js';
import { runService, type ServiceRequest } from '../../../src/cli/service-command.js';
import { renderTemplate, TEMPLATES, userDropIns } from '../../../src/cli/service-units.js';

/** A user's systemd that takes everything, with a configuration file. */
class Desk {
  readonly dir = mkdtempSync(join(tmpdir(), 'infinimount-service-'));
  readonly units = join(this.dir, 'units');
  readonly asked: string[] = [];
  readonly said: string[] = [];
  readonly #configHome = process.env.XDG_CONFIG_HOME;

  constructor(profile: readonly string[]) {
    mkdirSync(join(this.dir, 'infinimount'));
    const text = ['[profile.work]', 'url = "https://host/dav/"', ...profile, ''].join('\n');
    writeFileSync(join(this.dir, 'infinimount', 'config.toml'), text, { mode: 0o600 });
    process.env.XDG_CONFIG_HOME = this.dir;
  }

  run(request: Partial<ServiceRequest>): Promise<number> {
    const whole: ServiceRequest = {
      action: 'install',
      profile: 'work',
      scope: 'user',
      now: false,
      print: false,
      runAs: undefined,
      configFile: undefined,
      ...request,
    };
    return runService(whole, {
      systemd: () => ({
        unitDir: this.units,
        systemctl: (...words) => {
          this.asked.push(words.join(' '));
          return Promise.resolve();
        },
      }),
      say: (line) => this.said.push(line),
    });
  }

  [Symbol.dispose](): void {
    if (this.#configHome === undefined) delete process.env.XDG_CONFIG_HOME;
    else process.env.XDG_CONFIG_HOME = this.#configHome;
    rmSync(this.dir, { recursive: true });
  }
}

const IN_ORDER = ['mount-point = "/srv/drive"'];
const NAMES = ['infinimount-user-release@.service', 'infinimount-user@.service'];
const UNIT = 'infinimount-user@work.service';

describe('service', () => {
  test('install writes the units once, and enables and starts the instance', async () => {
    using desk = new Desk(IN_ORDER);
    assert.equal(await desk.run({ now: true }), 0);
    assert.deepEqual(readdirSync(desk.units).sort(), NAMES);
    assert.deepEqual(desk.asked, ['daemon-reload', `enable ${UNIT}`, `restart ${UNIT}`]);
    desk.said.length = 0;
    await desk.run({});
    assert.equal(desk.said.filter((line) => line.startsWith('Left as it was: ')).length, 2);
    assert.equal(desk.said.at(-1), `Start it now: systemctl --user start ${UNIT}`);
  });

  test('remove takes away what install wrote, when no other profile needs it', async () => {
    using desk = new Desk(IN_ORDER);
    await desk.run({});
    const wants = join(desk.units, 'default.target.wants');
    mkdirSync(wants);
    writeFileSync(join(wants, 'infinimount-user@other.service'), '');
    desk.asked.length = 0;
    await desk.run({ action: 'remove' });
    assert.deepEqual(desk.asked, [`disable --now ${UNIT}`, 'daemon-reload']);
    assert.deepEqual(readdirSync(desk.units).sort(), ['default.target.wants', ...NAMES]);
    rmSync(join(wants, 'infinimount-user@other.service'));
    await desk.run({ action: 'remove' });
    assert.deepEqual(readdirSync(desk.units), ['default.target.wants']);
    // There is nothing left to disable.
    desk.asked.length = 0;
    await desk.run({ action: 'remove' });
    assert.deepEqual(desk.asked, ['daemon-reload']);
  });

  test('print shows the units and touches nothing', async () => {
    using desk = new Desk([]);
    await desk.run({ print: true });
    assert.deepEqual(desk.asked, []);
    assert.match(
      desk.said.join('\n'),
      /^# infinimount-user@\.service\n(.*\n)*ExecStart=\S+ \S+infinimount\.js mount %i$/m,
    );
  });

  test('refuses what cannot work, before anything is written', async () => {
    const refused = async (profile: readonly string[], request: Partial<ServiceRequest>, message: RegExp) => {
      using desk = new Desk(profile);
      await assert.rejects(
        desk.run(request),
        (error) => error instanceof UserError && message.test(error.message),
      );
      assert.deepEqual(desk.asked, []);
    };
    await refused([], {}, /the profile "work" in .* names no mount-point/);
    await refused([...IN_ORDER, 'colour = "red"'], {}, /colour/);
    await refused(IN_ORDER, { profile: 'other' }, /other/);
    await refused(IN_ORDER, { profile: '../x' }, /no name of a profile/);
    await refused(IN_ORDER, { profile: undefined }, /the profile is missing/);
    await refused(IN_ORDER, { action: 'start' }, /"start" is unknown/);
    await refused(IN_ORDER, { action: undefined }, /nothing was said to do/);
    await refused(IN_ORDER, { runAs: 'root' }, /--run-as with --user/);
    await refused(IN_ORDER, { scope: 'system', runAs: 'no such user' }, /there is no such user/);
  });
});

describe('a unit as it is installed', () => {
  test('names Node and the program as they are on the machine, escaped', async () => {
    const program = ['/opt/my node/bin/node', '/srv/100%/$HOME/"x"/infinimount.js'];
    const text = await renderTemplate('infinimount-user@.service', program);
    const line = String.raw`ExecStart="/opt/my node/bin/node" "/srv/100%%/$$HOME/\"x\"/infinimount.js" mount %i`;
    assert.ok(text.includes(`${line}\n`), text);
    for (const name of [...TEMPLATES.system, ...TEMPLATES.user])
      assert.ok(!(await renderTemplate(name, ['/n', '/p'])).includes('/usr/bin/infinimount'));
  });

  test('for a user: as that user, with the configuration and directories of that user', () => {
    const [mount, release] = userDropIns({ name: 'alice', uid: 1000 }, ['/n', '/p']);
    assert.match(
      mount,
      /^User=alice\nAmbientCapabilities=CAP_SYS_ADMIN\nExecStart=\nExecStart=\/n \/p mount %i$/m,
    );
    assert.match(mount, /^RuntimeDirectory=\nRuntimeDirectory=infinimount-1000\nRuntimeDirectoryMode=0700$/m);
    assert.match(release, /^ExecStart=\/n \/p service release %i$/m);
  });

  test('has no setting that would give it a mount namespace, which would hide its mount', () => {
    const hiding =
      /^(PrivateTmp|PrivateDevices|PrivateMounts|PrivateIPC|ProtectSystem|ProtectHome|ProtectProc|ProcSubset|ProtectKernel\w+|ProtectControlGroups|(ReadOnly|ReadWrite|Inaccessible|Exec|NoExec)Paths|Bind\w*Paths|TemporaryFileSystem|Root(Directory|Image)|DynamicUser|MountFlags|LogNamespace)=/m;
    for (const name of [...TEMPLATES.system, ...TEMPLATES.user]) {
      const text = readFileSync(new URL(`../../../systemd/${name}`, import.meta.url), 'utf8');
      assert.doesNotMatch(text, hiding, name);
    }
  });
});
