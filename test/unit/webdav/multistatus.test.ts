import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type DavResponse, MultistatusError, MultistatusReader } from '../../../src/webdav/multistatus.js';
import { collectionXml, fileXml, multistatus } from './support.js';

function read(text: string, chunkBytes = Number.POSITIVE_INFINITY): DavResponse[] {
  const reader = new MultistatusReader();
  const bytes = Buffer.from(text);
  const found: DavResponse[] = [];
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    found.push(...reader.write(bytes.subarray(at, Math.min(bytes.length, at + chunkBytes))));
  }
  return [...found, ...reader.end()];
}

/** As Apache writes it: two propstats, several prefixes for one namespace. */
const APACHE = `<?xml version="1.0" encoding="utf-8"?>
<D:multistatus xmlns:D="DAV:" xmlns:ns0="DAV:">
<D:response xmlns:lp1="DAV:" xmlns:lp2="http://apache.org/dav/props/" xmlns:g0="DAV:">
<D:href>/dav/</D:href>
<D:propstat><D:prop>
<lp1:resourcetype><D:collection/></lp1:resourcetype>
<lp1:getetag>W/"1000-660f7d84c77c4"</lp1:getetag>
<lp2:executable>F</lp2:executable>
</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>
<D:propstat><D:prop><g0:getcontentlength/></D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat>
</D:response>
<D:response xmlns:lp1="DAV:">
<D:href>/dav/%E6%97%A5%E6%9C%AC%20&amp;.txt</D:href>
<D:propstat><D:prop>
<lp1:resourcetype/><lp1:getcontentlength>5</lp1:getcontentlength>
<D:displayname>日本 🎉</D:displayname>
</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>
</D:response>
</D:multistatus>`;

describe('MultistatusReader', () => {
  test('reads what Apache writes, by namespace', () => {
    const [dir, file, ...rest] = read(APACHE);
    assert.deepEqual(rest, []);
    assert.equal(dir?.href, '/dav/');
    assert.equal(dir?.isCollection, true);
    assert.deepEqual(
      [...(dir?.properties ?? [])],
      [
        ['resourcetype', ''],
        ['getetag', 'W/"1000-660f7d84c77c4"'],
      ],
    );
    assert.equal(file?.href, '/dav/%E6%97%A5%E6%9C%AC%20&.txt');
    assert.equal(file?.isCollection, false);
    assert.equal(file?.properties.get('getcontentlength'), '5');
    assert.equal(file?.properties.get('displayname'), '日本 🎉');
  });

  for (const size of [1, 2, 3, 7, 64, 1000]) {
    test(`reads the same in chunks of ${size} bytes`, () =>
      assert.deepEqual(read(APACHE, size), read(APACHE)));
  }

  test('hands a response out as soon as its element is complete', () => {
    const reader = new MultistatusReader();
    const whole = multistatus(collectionXml('/a/'), fileXml('/a/b'));
    const cut = whole.indexOf('</D:response>') + '</D:response>'.length;
    assert.equal(reader.write(Buffer.from(whole.slice(0, cut - 1))).length, 0);
    assert.equal(reader.write(Buffer.from(whole.slice(cut - 1, cut))).length, 1);
    assert.equal(reader.write(Buffer.from(whole.slice(cut))).length, 1);
    assert.deepEqual(reader.end(), []);
  });

  test('takes the default namespace and CDATA', () => {
    const [only] = read(
      '<multistatus xmlns="DAV:"><response><href><![CDATA[/a&b]]></href><propstat><prop><resourcetype><collection/></resourcetype></prop><status>HTTP/1.1 200 OK</status></propstat></response></multistatus>',
    );
    assert.equal(only?.href, '/a&b');
    assert.equal(only?.isCollection, true);
  });

  test('an element of another namespace is not taken for one of ours', () => {
    const [only] = read(
      '<D:multistatus xmlns:D="DAV:" xmlns:x="urn:x"><D:response><D:href>/a</D:href><D:propstat><D:prop><x:getetag>"wrong"</x:getetag><D:resourcetype><x:collection/></D:resourcetype></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>',
    );
    assert.equal(only?.properties.has('getetag'), false);
    assert.equal(only?.isCollection, false);
  });

  test('a response may have a status instead of properties', () => {
    const [only] = read(
      '<D:multistatus xmlns:D="DAV:"><D:response><D:href>/a</D:href><D:status>HTTP/1.1 423 Locked</D:status></D:response></D:multistatus>',
    );
    assert.equal(only?.status, 423);
    assert.equal(only?.properties.size, 0);
  });

  test('properties that are all refused give the response their status', () => {
    const [only] = read(
      '<D:multistatus xmlns:D="DAV:"><D:response><D:href>/a</D:href><D:propstat><D:prop><D:getetag/></D:prop><D:status>HTTP/1.1 403 Forbidden</D:status></D:propstat></D:response></D:multistatus>',
    );
    assert.equal(only?.status, 403);
  });

  test('no response element is an empty answer', () => assert.deepEqual(read(multistatus()), []));

  for (const [what, text] of [
    ['cut', APACHE.slice(0, -20)],
    ['empty', ''],
    ['a page of HTML', '<!DOCTYPE html><html><body>Log in</body></html>'],
    ['another root', '<D:error xmlns:D="DAV:"/>'],
    ['broken', '<D:multistatus xmlns:D="DAV:"><D:response></D:multistatus>'],
    ['an entity bomb', '<!DOCTYPE m [<!ENTITY a "aaaa">]><m>&a;&a;</m>'],
    ['endless text', multistatus(`<D:response><D:href>${'x'.repeat(70_000)}</D:href></D:response>`)],
  ] as const) {
    test(`${what} is an error`, () => assert.throws(() => read(text), MultistatusError));
  }
});
