/** A command's hold on a running mount: calls that end in words for a person, and that end. */

import { resolve } from 'node:path';
import { UserError } from '../base/index.js';
import { type CallableRoute, ControlError, type RouteAnswer, type RouteInput } from '../control/index.js';
import { type ParsedArguments, textOf } from './arguments.js';
import { chooseMount, mountOfPath } from './choose-mount.js';
import { controlUserError } from './control-failure.js';
import { say } from './output.js';
import { controlPlaces, type RunningMount } from './running-mounts.js';
import { type Screen, screenOf } from './show/paint.js';
import { mountName } from './show/status.js';

/** How often the daemon is asked for a sign of life while a call waits for its work. */
const LIVENESS_MS = 5_000;

export class Live {
  readonly mount: RunningMount;
  /** Whether a script reads the output. */
  readonly json: boolean;

  constructor(mount: RunningMount, json: boolean) {
    this.mount = mount;
    this.json = json;
  }

  get screen(): Screen {
    return screenOf(process.stdout, process.env);
  }

  /** For messages. */
  get name(): string {
    return `the mount ${mountName(this.mount.status)}`;
  }

  /** Calls a route; rejects with {@link UserError}, or with the signal's reason. */
  async call<N extends CallableRoute>(
    route: N,
    request: RouteInput<N>,
    signal?: AbortSignal,
  ): Promise<RouteAnswer<N>> {
    try {
      return await this.mount.client.call(route, request, signal === undefined ? {} : { signal });
    } catch (error) {
      throw error instanceof ControlError ? controlUserError(error, this.name) : error;
    }
  }

  /** Like {@link call} for a route that waits for its work: given up when the daemon shows no life. */
  async work<N extends CallableRoute>(
    route: N,
    request: RouteInput<N>,
    signal?: AbortSignal,
  ): Promise<RouteAnswer<N>> {
    const dead = new AbortController();
    const timer = setInterval(() => {
      this.call('status', {}, dead.signal).catch((error: unknown) => dead.abort(error));
    }, LIVENESS_MS);
    const signals = signal === undefined ? [dead.signal] : [dead.signal, signal];
    try {
      return await this.call(route, request, AbortSignal.any(signals));
    } finally {
      clearInterval(timer);
      dead.abort();
    }
  }

  /** Prints an answer: as JSON, or in lines. */
  tell(answer: unknown, lines: () => readonly string[]): void {
    if (this.json) say(JSON.stringify(answer, undefined, 2));
    else for (const line of lines()) say(line);
  }
}

/** The mount that a word or an option names, or the only one. `command`: for advice. */
export async function openLive(
  parsed: ParsedArguments,
  command: string,
  name = textOf(parsed, 'mount'),
): Promise<Live> {
  const places = controlPlaces(textOf(parsed, 'runtime-dir'));
  return new Live(await chooseMount(name, command, places), parsed.json === true);
}

/** The mount that a path of the shell lies in, with the path within it; with `--mount` the path is within that one. */
export async function openLiveAt(
  parsed: ParsedArguments,
  command: string,
  path: string | undefined,
): Promise<{ readonly live: Live; readonly inside: string }> {
  if (path === undefined) {
    throw new UserError(
      'usage',
      `Cannot ${command}: the path is missing`,
      `Write: infinimount ${command} PATH`,
    );
  }
  if (textOf(parsed, 'mount') !== undefined) {
    return { live: await openLive(parsed, command), inside: resolve('/', path) };
  }
  const { mount, inside } = await mountOfPath(path, controlPlaces(textOf(parsed, 'runtime-dir')));
  return { live: new Live(mount, parsed.json === true), inside };
}
