import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SaxesParser } from 'saxes';
import { XmlError, XmlReader } from '../../../src/webdav/xml-reader.js';
import { seededRandom } from '../../support/random.js';

type Event =
  | readonly [kind: 'open', uri: string, local: string]
  | readonly ['text', string]
  | readonly ['close'];

/** Pieces of text come as they like; what counts is the text between two tags. */
class Recorder {
  readonly events: Event[] = [];
  #text = '';

  opened(uri: string, local: string): void {
    this.#flush();
    this.events.push(['open', uri, local]);
  }

  text(text: string): void {
    this.#text += text;
  }

  closed(): void {
    this.#flush();
    this.events.push(['close']);
  }

  #flush(): void {
    if (this.#text !== '') this.events.push(['text', this.#text]);
    this.#text = '';
  }
}

function read(text: string, chunkChars = Number.POSITIVE_INFINITY): readonly Event[] {
  const recorder = new Recorder();
  const reader = new XmlReader(recorder);
  for (let at = 0; at < text.length; at += chunkChars) reader.write(text.slice(at, at + chunkChars));
  reader.end();
  return recorder.events;
}

/** What a complete parser makes of it; undefined: it is no XML. */
function readBySaxes(text: string): readonly Event[] | undefined {
  const recorder = new Recorder();
  const parser = new SaxesParser({ xmlns: true, position: false });
  let isXml = true;
  parser.on('opentag', (tag) => recorder.opened(tag.uri, tag.local));
  parser.on('closetag', () => recorder.closed());
  parser.on('text', (piece) => recorder.text(piece));
  parser.on('cdata', (piece) => recorder.text(piece));
  parser.on('error', () => {
    isXml = false;
  });
  parser.write(text).close();
  return isXml ? recorder.events : undefined;
}

describe('XmlReader', () => {
  for (const [what, text] of [
    ['prefixes and a default namespace', '<a:b xmlns:a="urn:a"><c xmlns="urn:c"><d/><a:e/></c><f/></a:b>'],
    ['a prefix with another meaning inside', '<p:a xmlns:p="1"><p:b xmlns:p="2"><p:c/></p:b><p:d/></p:a>'],
    ['a default namespace taken back', '<a xmlns="1"><b xmlns=""/></a>'],
    [
      'declarations that come again elsewhere',
      '<a><b xmlns="1"/><c xmlns="2"><b xmlns="1"/><b xmlns:x="1"/></c></a>',
    ],
    ['tags that come again with a longer end', `<a><b c=">"/><b c=">d"></b><b c=">"/><b c='>"/>'/></a>`],
    ['attributes of both quotes', `<a x="1'" y='2"' z = "&lt;>"><b\n xmlns:q='u&amp;v' q:r="" /></a >`],
    ['a declaration in the text of an attribute', `<a x=" xmlns='u'"><b/></a>`],
    ['entities', '<a>&lt;&gt;&amp;&quot;&apos;&#65;&#x1F389;&amp;amp;</a>'],
    [
      'sections',
      '<?xml version="1.0"?><!-- <b> --><a>1<![CDATA[<b>&amp;]]>2<!-- -->3<?p <c>?></a>\n<!-- e -->\n',
    ],
    ['text around elements', '<a> x <b> y </b> z </a>'],
    ['names of other letters', '<日本 xmlns:é="u"><é:ü-1.2_3/></日本>'],
  ] as const) {
    test(`reads ${what} as a complete parser does, however it is cut`, () => {
      const expected = readBySaxes(text);
      assert.ok(expected !== undefined);
      for (let size = 1; size <= text.length; size++) assert.deepEqual(read(text, size), expected);
    });
  }

  for (const [what, text] of [
    ['nothing', ''],
    ['white space', ' \n'],
    ['text outside of the root', '<a/>b'],
    ['a CDATA section outside of the root', '<a/><![CDATA[]]>'],
    ['two roots', '<a/><b/>'],
    ['an end tag alone', '</a>'],
    ['an end tag of another element', '<a><b></a></b>'],
    ['an end tag with attributes', '<a></a b="c">'],
    ['an element without an end', '<a><b></b>'],
    ['an attribute without quotes', '<a b=c></a>'],
    ['a tag within a tag', '<a <b/>></a>'],
    ['a tag without an end', '<a></a'],
    ['a tag that goes on for ever', `<a ${'b="c" '.repeat(20_000)}`],
    ['a comment without an end', '<a/><!-- '],
    ['an unknown entity', '<a>&nbsp;</a>'],
    ['an ampersand alone', '<a>b & c; d</a>'],
    ['a reference to no character', '<a>&#x110000;</a>'],
    ['a reference to a forbidden character', '<a>&#0;</a>'],
    ['a forbidden character', '<a>\u0001</a>'],
    ['a prefix without a namespace', '<a:b/>'],
    ['a document type', '<!DOCTYPE a [<!ENTITY b "bb">]><a/>'],
  ] as const) {
    test(`${what} is an error`, () => {
      for (const size of [1, 3, Number.POSITIVE_INFINITY]) assert.throws(() => read(text, size), XmlError);
    });
  }

  test('takes what a complete parser takes, and reads the same in it', () => {
    const random = seededRandom(1);
    const pieces = [
      ...[
        '<a>',
        '</a>',
        '<b:c>',
        '</b:c>',
        '<d/>',
        '<b:d x="y>" />',
        '<e xmlns="u&amp;v">',
        '</e>',
        '<e xmlns:b="w">',
      ],
      ...[
        ' ',
        'text',
        '&lt;',
        '&#10;',
        '&',
        ';',
        '<',
        '>',
        '"',
        '<!-- - -->',
        '<![CDATA[<x>]]>',
        '<?p q?>',
        '😀',
      ],
    ];
    let taken = 0;
    for (let round = 0; round < 20_000; round++) {
      const count = 1 + random.below(8);
      const inner = Array.from({ length: count }, () => pieces[random.below(pieces.length)]).join('');
      const text = `<r xmlns:b="urn:b">${inner}</r>`;
      const expected = readBySaxes(text);
      if (expected === undefined) continue;
      taken += 1;
      assert.deepEqual(read(text, 1 + random.below(text.length)), expected, text);
    }
    assert.ok(taken > 500, `only ${taken} texts were XML`);
  });
});
