/** What a failed call over the control socket means for the person who typed the command. */

import { UserError, type UserErrorCode } from '../base/index.js';
import { ControlError } from '../control/index.js';
import { isUserErrorCode } from './exit-codes.js';

/** `mount`: what was asked, within a sentence: `the mount on "/a"`. */
export function controlUserError(error: ControlError, mount: string): UserError {
  const options = { cause: error };
  switch (error.code) {
    case 'no-daemon':
      return new UserError('no-mount', `Cannot reach ${mount}: no daemon serves it`, undefined, options);
    case 'denied':
    case 'untrusted':
      return new UserError(
        'control-denied',
        `Cannot talk to ${mount}: ${withoutStop(error.message)}`,
        undefined,
        options,
      );
    case 'busy':
      return new UserError(
        'not-answering',
        `Cannot talk to ${mount}: ${withoutStop(error.message)}`,
        'Some program asks it without end: end that, then try again.',
        options,
      );
    case 'timeout':
      return new UserError(
        'not-answering',
        `Cannot talk to ${mount}: its daemon does not answer`,
        'Look into its log, or take the mount away: infinimount unmount',
        options,
      );
    case 'disconnected':
      return new UserError(
        'not-answering',
        `Cannot finish: the daemon of ${mount} went away before it answered`,
        'See: infinimount status',
        options,
      );
    case 'bad-answer':
      return new UserError(
        'not-answering',
        `Cannot talk to ${mount}: ${withoutStop(error.message)}`,
        undefined,
        options,
      );
    case 'refused':
      return refusal(error);
  }
}

/** The daemon's own words; its code decides the exit code where it is one of ours. */
function refusal(error: ControlError): UserError {
  const { problem } = error;
  return new UserError(
    refusalCode(problem?.code ?? ''),
    withoutStop(problem?.detail ?? problem?.title ?? error.message),
    problem?.advice,
    { cause: error },
  );
}

function refusalCode(code: string): UserErrorCode {
  switch (code) {
    // A daemon that is about to end is as good as gone.
    case 'closing':
      return 'not-answering';
    // Whoever waits for the uploads would wait for ever.
    case 'paused':
      return 'unfinished';
    default:
      return isUserErrorCode(code) ? code : 'refused';
  }
}

function withoutStop(text: string): string {
  return text.replace(/\.$/, '');
}

/** `work`, with its {@link ControlError} as a {@link UserError}. */
export async function asUserErrors<T>(mount: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw error instanceof ControlError ? controlUserError(error, mount) : error;
  }
}
