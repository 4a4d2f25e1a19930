/** How the help says from when on a new value of an option holds for a mount that runs. */

import { OPTION_CHANGES, type OptionChange } from '../config/index.js';

const CHANGES: Readonly<Record<OptionChange, { readonly tag: string; readonly how: string }>> = {
  live: { tag: 'live', how: 'at once, by infinimount remount' },
  credentials: { tag: 'next request', how: 'at the next request, by infinimount rotate' },
  'new-mount': { tag: 'new kernel mount', how: 'by infinimount remount --reestablish' },
  'new-daemon': { tag: 'next start', how: 'when it is mounted again' },
};

/** What stands behind the description of an option. */
export function changeTag(applies: OptionChange): string {
  return `{${CHANGES[applies].tag}}`;
}

/** What the tags mean, one a line. */
export function changeLegend(): string {
  const tags = OPTION_CHANGES.map(changeTag);
  const width = Math.max(...tags.map((tag) => tag.length));
  const lines = OPTION_CHANGES.map(
    (applies) => `  ${changeTag(applies).padEnd(width)}  ${CHANGES[applies].how}`,
  );
  return ['When a mount that runs takes a new value of an option:', ...lines].join('\n');
}
