import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { editDistance, nearest } from '../../../src/config/nearest.js';
import {
  bytes,
  choice,
  duration,
  flag,
  integer,
  mode,
  type OptionSpec,
} from '../../../src/config/option-kinds.js';
import { environmentName, OPTION_NAMES, optionSpec } from '../../../src/config/options.js';
import { type OptionTexts, resolveOptions } from '../../../src/config/sources.js';

const common = { group: 'Mount', applies: 'live', help: 'help' } as const;

function check<T>(spec: OptionSpec<T>, good: Readonly<Record<string, T>>, bad: readonly string[]): void {
  for (const [text, value] of Object.entries(good)) assert.deepEqual(spec.parse(text), { value }, text);
  for (const text of bad) assert.ok('wanted' in spec.parse(text), `${JSON.stringify(text)} must be refused`);
}

describe('kinds of values', () => {
  test('bytes', () => {
    const spec = bytes({ ...common, min: '1K' });
    check(
      spec,
      {
        '1024': 1024,
        '1K': 1024,
        '1.5k': 1536,
        '10G': 10_737_418_240,
        '2MiB': 2_097_152,
        '1 TB': 1_099_511_627_776,
      },
      ['', '1023', '1Q', '-1K', 'K', '1e9', '99999999P', '0x400', '1KK'],
    );
  });

  test('durations', () => {
    check(
      duration({ ...common, bareUnit: 's', defaultText: '1s', max: 3_600_000 }),
      { '30': 30_000, '250ms': 250, '1.5s': 1500, '2m': 120_000, '1h': 3_600_000, '0': 0 },
      ['', '-1', '1w', 's', '2h', '1 day'],
    );
    assert.deepEqual(duration({ ...common, bareUnit: 'ms', defaultText: '1' }).parse('30'), { value: 30 });
  });

  test('integers', () => {
    check(integer({ ...common, min: 1, max: 64 }), { '1': 1, '64': 64 }, ['0', '65', '1.5', '', 'a', '1e1']);
  });

  test('modes', () => {
    check(mode({ ...common, defaultText: '644' }), { '644': 0o644, '0755': 0o755, '000': 0 }, [
      '888',
      '64',
      '1777',
      '',
    ]);
  });

  test('flags and choices', () => {
    check(flag(common), { true: true, YES: true, '0': false, off: false }, ['', 'maybe', '2']);
    check(choice(['a', 'b'], { ...common, defaultText: 'a' }), { a: 'a', b: 'b' }, ['c', '', 'A']);
  });
});

describe('the option table', () => {
  test('every default is a value that the option itself accepts', () => {
    for (const name of OPTION_NAMES) {
      const { defaultText, parse, defaultHelp } = optionSpec(name);
      if (defaultText !== undefined) assert.ok('value' in parse(defaultText), name);
      else assert.ok(defaultHelp !== undefined, `${name} says what happens without it`);
    }
  });

  test('names of environment variables', () => {
    assert.equal(environmentName('cache-dir'), 'INFINIMOUNT_CACHE_DIR');
  });
});

describe('where values come from', () => {
  const section = (values: OptionTexts, lines: Readonly<Record<string, number>> = {}) => ({ values, lines });
  const file = {
    path: '/c.toml',
    sections: [
      section({ 'max-connections': '3', 'cache-size': '1G', user: 'profile' }),
      section({ user: 'top', 'upload-delay': '1s' }),
    ],
  };
  const environment = { INFINIMOUNT_MAX_CONNECTIONS: '2', INFINIMOUNT_CACHE_SIZE: '2G' };

  test('flags before environment before profile before the top of the file before default', () => {
    const { values } = resolveOptions({ flags: { 'max-connections': '1' }, environment, file });
    assert.equal(values['max-connections'], 1);
    assert.equal(values['cache-size'], 2 * 1024 ** 3);
    assert.equal(values.user, 'profile');
    assert.equal(values['upload-delay'], 1000);
    assert.equal(values.sync, 'write-back');
    assert.equal(values['ca-file'], undefined);
  });

  test('a bad value is named with its source', () => {
    const flags = { sync: 'sometimes' };
    assert.throws(() => resolveOptions({ flags, environment: {} }), {
      name: 'UserError',
      code: 'usage',
      message: 'Cannot use --sync "sometimes": it must be one of write-back, write-through.',
    });
    assert.throws(() => resolveOptions({ flags: {}, environment: { INFINIMOUNT_UID: 'x' } }), {
      code: 'usage',
      message: /^Cannot use INFINIMOUNT_UID="x": /,
    });
    assert.throws(
      () =>
        resolveOptions({
          flags: {},
          environment: {},
          file: { path: '/c.toml', sections: [section({ uid: 'x' }, { uid: 3 })] },
        }),
      { code: 'config-file', message: /^Cannot use uid = "x" in "\/c\.toml", line 3: / },
    );
  });

  test('of options that say one thing, the first source with one of them counts', () => {
    const inFile = {
      path: '/c.toml',
      sections: [section({ password: 'a' }), section({ 'password-command': 'b' })],
    };
    const { values } = resolveOptions({ flags: { 'password-file': '/f' }, environment: {}, file: inFile });
    assert.deepEqual(
      [values['password-file'], values.password, values['password-command']],
      ['/f', undefined, undefined],
    );
    const profile = resolveOptions({ flags: {}, environment: {}, file: inFile }).values;
    assert.equal(profile.password?.reveal(), 'a');
    assert.equal(profile['password-command'], undefined);
  });

  test('two of them in one source are an error that shows no secret', () => {
    const both = section({ password: 's3cret', 'password-file': '/f' }, { password: 2, 'password-file': 3 });
    assert.throws(
      () => resolveOptions({ flags: {}, environment: {}, file: { path: '/c.toml', sections: [both] } }),
      {
        code: 'config-file',
        message:
          'Cannot use password-file in "/c.toml", line 3: it says the same as password in "/c.toml", line 2. Leave one of them out.',
      },
    );
  });

  test('what stands in a file only is not taken from the environment', () => {
    const { values } = resolveOptions({ flags: {}, environment: { INFINIMOUNT_PASSWORD: 'x' } });
    assert.equal(values.password, undefined);
  });
});

describe('the nearest name', () => {
  test('slips are recognised, other words are not', () => {
    const names = ['cache-dir', 'cache-size', 'user', 'uid', 'read-only'];
    assert.equal(nearest('cachedir', names), 'cache-dir');
    assert.equal(nearest('chache-sizes', names), 'cache-size');
    assert.equal(nearest('usre', names), 'user');
    assert.equal(nearest('verbose', names), undefined);
  });

  test('distances', () => {
    assert.equal(editDistance('', 'abc'), 3);
    assert.equal(editDistance('abc', 'abc'), 0);
    assert.equal(editDistance('ab', 'ba'), 1);
    assert.equal(editDistance('kitten', 'sitting'), 3);
  });
});
