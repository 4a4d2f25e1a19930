import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { after, describe, test } from 'node:test';
import { examineLine } from '../../../src/daemon/doctor/doctor-line.js';
import { examineMachine, type MachineSurroundings } from '../../../src/daemon/doctor/doctor-machine.js';
import type { Finding } from '../../../src/daemon/index.js';
import { freePort, makeCertificate, requireComponent } from '../../support/servers/index.js';

const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

function find(findings: readonly Finding[], name: string): Finding {
  const finding = findings.find((each) => each.name === name);
  assert.ok(finding !== undefined, `no ${name} in ${JSON.stringify(findings)}`);
  return finding;
}

describe('the line', () => {
  const answering = (date: Date | undefined): RequestListener => {
    return (request, response) => {
      assert.equal(request.headers.authorization, undefined);
      response.sendDate = false;
      response.writeHead(401, date === undefined ? {} : { Date: date.toUTCString() }).end();
    };
  };
  const clockOf = async (skewMs: number) => {
    const port = await listen(createServer(answering(new Date(Date.now() + skewMs))));
    return find(await examineLine(new URL(`http://127.0.0.1:${port}/`), undefined), 'clock');
  };

  test('clocks that agree, nearly, and not at all', async () => {
    assert.equal((await clockOf(0)).state, 'ok');
    const slow = await clockOf(120_000);
    assert.equal(slow.state, 'warn');
    assert.match(slow.found, /clock is 1(19|20|21) s behind the server's/);
    const fast = await clockOf(-3_600_000);
    assert.deepEqual([fast.state, fast.todo?.includes('timedatectl')], ['bad', true]);
    assert.match(fast.found, /ahead of/);
  });

  test('a server without a clock says nothing of it', async () => {
    const port = await listen(createServer(answering(undefined)));
    const findings = await examineLine(new URL(`http://127.0.0.1:${port}/`), undefined);
    assert.deepEqual(
      findings.map(({ name }) => name),
      ['dns'],
    );
  });

  test('nobody there, no such name', async () => {
    const connection = find(
      await examineLine(new URL(`http://127.0.0.1:${await freePort()}/`), undefined),
      'connection',
    );
    assert.match(connection.found, /ECONNREFUSED/);
    const dns = find(await examineLine(new URL('https://no-such-host.invalid/'), undefined), 'dns');
    assert.equal(dns.state, 'bad');
  });

  test('a certificate: trusted by a CA file only, and its days', async (t) => {
    if (!requireComponent(t, 'openssl')) return;
    const certificate = makeCertificate(undefined, 90);
    const port = await listen(createTlsServer(certificate, answering(new Date())));
    const url = new URL(`https://127.0.0.1:${port}/`);
    const strange = find(await examineLine(url, undefined), 'tls');
    assert.equal(strange.state, 'bad');
    assert.match(strange.found, /DEPTH_ZERO_SELF_SIGNED_CERT/);
    assert.match(strange.todo ?? '', /--ca-file/);
    const trusted = find(await examineLine(url, certificate.cert), 'tls');
    assert.equal(trusted.state, 'ok', trusted.found);
    assert.equal(trusted.figures?.daysLeft, 89);
    const short = makeCertificate(undefined, 5);
    const shortPort = await listen(createTlsServer(short, answering(new Date())));
    assert.equal(
      find(await examineLine(new URL(`https://127.0.0.1:${shortPort}/`), short.cert), 'tls').state,
      'warn',
    );
  });
});

describe('the machine', () => {
  const machine = async (around: Partial<MachineSurroundings>) =>
    await examineMachine('/dev/shm/none', {
      kernel: '6.12.1',
      systemd: 'systemd 257',
      privileged: true,
      ...around,
    });

  test('passthrough needs a kernel and a capability', async () => {
    const state = async (around: Partial<MachineSurroundings>) => find(await machine(around), 'passthrough');
    assert.equal((await state({})).state, 'ok');
    assert.match((await state({ kernel: '6.8.0-40-generic' })).found, /no passthrough/);
    assert.match((await state({ privileged: false })).found, /CAP_SYS_ADMIN/);
  });

  test('the descriptor store needs systemd', async () => {
    assert.match(find(await machine({}), 'descriptor-store').found, /systemd 257 .* also over a stop/);
    assert.equal(find(await machine({ systemd: 'systemd 252 (252.5)' }), 'descriptor-store').state, 'ok');
    assert.equal(find(await machine({ systemd: undefined }), 'descriptor-store').state, 'note');
  });

  test('an old kernel is named', async () => {
    assert.equal(find(await machine({ kernel: '4.19.0' }), 'kernel').state, 'warn');
  });
});
