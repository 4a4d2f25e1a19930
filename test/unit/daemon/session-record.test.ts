import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import {
  readSessionRecord,
  removeSessionRecord,
  type SessionRecord,
  writeSessionRecord,
} from '../../../src/daemon/mounting/session-record.js';

const dir = mkdtempSync(join(tmpdir(), 'infinimount-record-'));
after(() => rmSync(dir, { recursive: true }));
const file = join(dir, 'session.json');

const RECORD: SessionRecord = {
  id: 'one',
  kernelMounts: 1,
  url: 'https://dav.example/',
  mountPoint: '/mnt/a',
  device: '0:45',
  method: 'mount',
  readOnly: false,
  allowOther: true,
  takeovers: 2,
  lastTakeoverMs: 5,
  deaths: 1,
  negotiated: {
    minor: 40,
    kernelMinor: 45,
    flags: new Set(['ASYNC_READ', 'HAS_RESEND']),
    absent: ['PASSTHROUGH'],
    maxWriteBytes: 1,
    maxPages: 2,
    maxReadaheadBytes: 3,
    maxBackground: 4,
  },
};

/** Changes a field of the file. */
function change(fields: Readonly<Record<string, unknown>>): void {
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...fields }));
}

describe('the record of a mount', () => {
  test('comes back as it was written, and only its owner can read it', () => {
    writeSessionRecord(dir, RECORD);
    assert.deepEqual(readSessionRecord(dir), RECORD);
    assert.equal(statSync(file).mode & 0o777, 0o600);
  });

  test('is none where there is no file, or no whole one', () => {
    removeSessionRecord(dir);
    removeSessionRecord(dir);
    assert.equal(readSessionRecord(dir), undefined);
    writeFileSync(file, '{"version": 1, "boot');
    assert.equal(readSessionRecord(dir), undefined);
  });

  for (const [what, fields] of Object.entries({
    'an earlier boot': { bootId: 'another' },
    'a newer version': { version: 2 },
    'a feature that is not known here': {
      negotiated: { ...RECORD.negotiated, flags: ['FROM_THE_FUTURE'], absent: [] },
    },
  })) {
    test(`of ${what} is not used`, () => {
      writeSessionRecord(dir, RECORD);
      change(fields);
      assert.equal(readSessionRecord(dir), undefined);
    });
  }

  test('may name absent features that are not known here', () => {
    writeSessionRecord(dir, RECORD);
    change({ negotiated: { ...RECORD.negotiated, flags: ['ASYNC_READ'], absent: ['FROM_THE_FUTURE'] } });
    assert.deepEqual(readSessionRecord(dir)?.negotiated.absent, []);
  });
});
