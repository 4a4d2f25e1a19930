/** Reads unit files (systemd.syntax(7)) as far as the units of this project use them. */

/** The specifiers of systemd.unit(5) that the units use, by letter. */
export type Specifiers = Readonly<Record<string, string>>;

/** A unit file with its specifiers put in. */
export class UnitFile {
  readonly #values = new Map<string, string[]>();

  constructor(text: string, specifiers: Specifiers) {
    let section = '';
    for (const raw of text.replaceAll(/\\\n/g, ' ').split('\n')) {
      const line = raw.trim();
      if (line === '' || line.startsWith('#') || line.startsWith(';')) continue;
      if (line.startsWith('[')) {
        section = line.slice(1, -1);
        continue;
      }
      const equals = line.indexOf('=');
      const key = `${section}.${line.slice(0, equals).trim()}`;
      const value = expand(line.slice(equals + 1).trim(), specifiers);
      // An empty value forgets what was said before.
      this.#values.set(key, value === '' ? [] : [...(this.#values.get(key) ?? []), value]);
    }
  }

  /** All values of `Section.Key`, in order. */
  all(key: string): readonly string[] {
    return this.#values.get(key) ?? [];
  }

  /** The last value of `Section.Key`. */
  one(key: string): string | undefined {
    return this.all(key).at(-1);
  }

  number(key: string, otherwise: number): number {
    const value = this.one(key);
    return value === undefined ? otherwise : Number(value);
  }

  /** A time span in milliseconds. */
  spanMs(key: string, otherwiseMs: number): number {
    const value = this.one(key);
    return value === undefined ? otherwiseMs : timeSpanMs(value);
  }

  /** The assignments of `Environment=`. */
  environment(): Readonly<Record<string, string>> {
    return Object.fromEntries(
      this.all('Service.Environment')
        .flatMap(words)
        .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)] as const),
    );
  }
}

/** A command line without its prefix characters, split as systemd.service(5) says. */
export function commandWords(line: string): readonly string[] {
  return words(line.replace(/^[-:@+!]+/, ''));
}

function words(text: string): readonly string[] {
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, bare]) => double?.replaceAll(/\\(.)/g, '$1') ?? single ?? bare ?? '',
  );
}

function expand(text: string, specifiers: Specifiers): string {
  return text.replaceAll(/%(.)/g, (whole, letter: string) => {
    if (letter === '%') return '%';
    const value = specifiers[letter];
    if (value === undefined) throw new Error(`no value for the specifier ${whole}`);
    return value;
  });
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  '': 1000,
  s: 1000,
  sec: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
};

/** systemd.time(7): `90`, `1min 30s`, `100ms`, `infinity`. */
export function timeSpanMs(text: string): number {
  if (text === 'infinity') return Number.POSITIVE_INFINITY;
  let sum = 0;
  for (const [, amount = '', unit = ''] of text.matchAll(/([0-9.]+)\s*([a-z]*)/g)) {
    const factor = UNIT_MS[unit];
    if (factor === undefined) throw new Error(`no time span: ${text}`);
    sum += Number(amount) * factor;
  }
  return sum;
}
