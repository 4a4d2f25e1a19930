/** The command `rotate`: new credentials for a running mount. They come from stdin, or are typed unseen; never from argv. */

import { UserError } from '../base/index.js';
import { API_KEY } from '../config/index.js';
import type { RouteInput } from '../control/index.js';
import { EXIT_CODES } from './exit-codes.js';
import type { Live } from './live.js';
import { complain } from './output.js';
import { terminalPrompt } from './prompt.js';
import { printable } from './show/text.js';
import { readFirstLine } from './stdin.js';

export const ROTATED_SECRETS = ['password', 'api-key', 'refresh-token'] as const;
export type RotatedSecret = (typeof ROTATED_SECRETS)[number];

export interface RotateCommand {
  /** What is given; undefined: the mount reads them again where they came from. */
  readonly secret: RotatedSecret | undefined;
  readonly force: boolean;
}

const QUESTIONS: Readonly<Record<RotatedSecret, string>> = {
  password: 'New password: ',
  'api-key': 'New API key: ',
  'refresh-token': 'New refresh token: ',
};

/** Asks before the mount is looked for would be rude: `live` is there. */
export async function runRotate(live: Live, { secret, force }: RotateCommand): Promise<number> {
  const request = { ...(secret === undefined ? {} : await given(secret)), force };
  const rotated = await live.work('rotate', request);
  live.tell(rotated, () => {
    const where =
      rotated.writtenTo === undefined
        ? 'they last until the mount ends'
        : `they are written to ${printable(rotated.writtenTo)}`;
    return [
      rotated.accepted
        ? `infinimount: the server accepts the new credentials; ${where}`
        : `infinimount: the new credentials are in use, though the server does not accept them yet; ${where}`,
      ...(rotated.note === undefined ? [] : [printable(rotated.note)]),
    ];
  });
  if (rotated.accepted || force) return EXIT_CODES.ok.code;
  complain(
    'the server refuses the new credentials, and the old ones stay; --force takes them up all the same',
  );
  return EXIT_CODES.denied.code;
}

async function given(secret: RotatedSecret): Promise<Omit<RouteInput<'rotate'>, 'force'>> {
  const prompt = terminalPrompt();
  const text = prompt === undefined ? await readFirstLine() : await prompt.askHidden(QUESTIONS[secret]);
  switch (secret) {
    case 'password':
      return { password: text };
    case 'refresh-token':
      return { refreshToken: text };
    case 'api-key':
      if (API_KEY.test(text)) return { apiKey: text };
      throw new UserError('usage', `Cannot use this API key: ${API_KEY.wanted}`);
  }
}
