/**
 * The command `login`: finds out what is missing, proves it with the server, and only then writes the profile. What is
 * asked on a terminal can be given by flags and stdin as well.
 */

import { isAbsolute, resolve } from 'node:path';
import { quote, Secret, UserError } from '../base/index.js';
import {
  type ConfigFile,
  checkServerUrl,
  defaultConfigPath,
  isProfileName,
  nodeUrl,
  OPTION_GROUPS_OF_ONE,
  OPTION_NAMES,
  type OptionName,
  type OptionTexts,
  optionSpec,
  type ProfileChanges,
  readConfigIfThere,
  resolveRequest,
  type ServerOptions,
  type Surroundings,
  serverOf,
  withProfile,
  writeProfile,
} from '../config/index.js';
import type * as Daemon from '../daemon/index.js';
import { createLogger, type Logger } from '../observe/index.js';
import { complain, say } from './output.js';
import { type Prompt, terminalPrompt } from './prompt.js';
import { readFirstLine } from './stdin.js';

export interface LoginRequest {
  readonly profile: string | undefined;
  readonly configFile: string | undefined;
  readonly url: string | undefined;
  readonly node: string | undefined;
  readonly apiKey: string | undefined;
  /** The secret that the first line of stdin is. */
  readonly stdin: 'password' | 'refresh-token' | undefined;
  readonly flags: OptionTexts;
}

/** The parts of the world that a test replaces. */
export interface LoginWorld {
  readonly environment: Surroundings['environment'];
  readonly workingDirectory: string;
  readonly prompt: Prompt | undefined;
  readStdin(): Promise<string>;
  daemon(): Promise<LoginDaemon>;
}

type LoginDaemon = Pick<typeof Daemon, 'findNode' | 'logInWithOAuth2' | 'proveServer'>;

const DEFAULT_PROFILE = 'infinicloud';

export function realWorld(): LoginWorld {
  return {
    environment: process.env,
    workingDirectory: process.cwd(),
    prompt: terminalPrompt(),
    readStdin: readFirstLine,
    daemon: () => import('../daemon/index.js'),
  };
}

/** Logs in and writes the profile; rejects with {@link UserError}, and then nothing was written. */
export async function runLogin(request: LoginRequest, world: LoginWorld = realWorld()): Promise<number> {
  const path =
    request.configFile === undefined
      ? defaultConfigPath(world.environment)
      : resolve(world.workingDirectory, request.configFile);
  const file = await readConfigIfThere(path);
  const profile = await profileName(request, world);
  const login = new Login(request, world, path, profile, file);
  await login.collect();
  await login.prove();
  await writeProfile(path, profile, login.changes);
  say(`infinimount: the login works; profile "${profile}" is in ${path}`);
  say(`Mount it with: infinimount mount ${profile} DIR`);
  return 0;
}

async function profileName({ profile }: LoginRequest, { prompt }: LoginWorld): Promise<string> {
  const typed =
    profile ?? (await prompt?.ask(`Name of the profile [${DEFAULT_PROFILE}]: `)) ?? DEFAULT_PROFILE;
  const name = typed === '' ? DEFAULT_PROFILE : typed;
  if (isProfileName(name)) return name;
  throw new UserError(
    'usage',
    `Cannot use ${quote(name)} as the name of a profile: letters, digits, "-" and "_" only`,
  );
}

class Login {
  readonly #request: LoginRequest;
  readonly #world: LoginWorld;
  readonly #path: string;
  readonly #profile: string;
  readonly #file: ConfigFile | undefined;
  readonly #surroundings: Surroundings;
  readonly #changes: Partial<Record<OptionName, string | null>> = {};
  #refreshToken: Secret | undefined;

  constructor(
    request: LoginRequest,
    world: LoginWorld,
    path: string,
    profile: string,
    file: ConfigFile | undefined,
  ) {
    this.#request = request;
    this.#world = world;
    this.#path = path;
    this.#profile = profile;
    this.#file = file;
    // What is proved is what the file will say, not what a variable says today.
    const environment = Object.fromEntries(
      Object.entries(world.environment).filter(([name]) => !name.startsWith('INFINIMOUNT_')),
    );
    this.#surroundings = { environment, workingDirectory: world.workingDirectory };
  }

  get changes(): ProfileChanges {
    return this.#changes;
  }

  /** Takes what was given, and asks for what is missing; the node is looked up when all else is there. */
  async collect(): Promise<void> {
    const { flags, url, node, apiKey, stdin } = this.#request;
    refuseTwice(this.#request);
    for (const name of OPTION_NAMES) {
      const text = flags[name];
      if (text !== undefined) this.#set(name, this.#storable(name, text));
    }
    if (apiKey !== undefined) this.#set('api-key', apiKey);
    if (node !== undefined) this.#set('node', node);
    if (url !== undefined) this.#set('url', checkServerUrl(url, { insecureHttp: this.#insecureHttp() }).href);
    if (stdin !== undefined) {
      const secret = await this.#world.readStdin();
      if (stdin === 'password') this.#set('password', secret);
      else this.#refreshToken = new Secret(secret);
    }
    this.#clearOtherAuth();
    await this.#askForPlace();
    if (this.#value('auth') === undefined || this.#value('auth') === 'basic') await this.#askForPassword();
    if (this.#value('url') === undefined && this.#value('node') === undefined) await this.#findNode();
  }

  /** The tokens where there are any, then one request to the server. */
  async prove(): Promise<void> {
    const daemon = await this.#world.daemon();
    const { server, logger } = await this.#resolve();
    const deps = { logger, signal: new AbortController().signal };
    const { credentials } = server;
    if (credentials?.kind !== 'oauth2') {
      await daemon.proveServer(server, deps);
      return;
    }
    const ui = { show: complain };
    const given = { ui, ca: server.extraCaPem, refreshToken: this.#refreshToken };
    const undo = await daemon.logInWithOAuth2(credentials, given, deps);
    try {
      await daemon.proveServer(server, deps);
    } catch (error) {
      await undo();
      throw error;
    }
  }

  async #askForPlace(): Promise<void> {
    const hasPlace = this.#value('url') !== undefined || this.#value('node') !== undefined;
    if (hasPlace || this.#apiKeyGiven()) return;
    const { prompt } = this.#world;
    if (prompt === undefined) {
      throw missing(
        'neither the URL nor an API key was given',
        '--url URL (MyPage shows it) or --api-key KEY',
      );
    }
    const url = await prompt.ask('WebDAV URL, as MyPage shows it (leave it empty to use an API key): ');
    if (url !== '') this.#set('url', checkServerUrl(url, { insecureHttp: this.#insecureHttp() }).href);
    else this.#set('api-key', await prompt.ask('API key: '));
  }

  async #askForPassword(): Promise<void> {
    const { prompt } = this.#world;
    if (this.#value('user') === undefined) {
      if (prompt === undefined) throw missing('no user was given', '--user ID');
      this.#set('user', await prompt.ask('User ID: '));
    }
    const given = this.#passwordOptions().find((name) => this.#changes[name] !== undefined);
    if (given !== undefined && this.#changes[given] !== null) return;
    if (prompt !== undefined) {
      this.#set('password', await prompt.askHidden('Apps password (MyPage, "Apps Connection"): '));
      return;
    }
    // A profile that has one is proved anew with it.
    if (this.#passwordOptions().some((name) => this.#value(name) !== undefined)) return;
    throw missing('no password was given', '--password-stdin or --password-file FILE');
  }

  #passwordOptions(): readonly OptionName[] {
    return OPTION_GROUPS_OF_ONE.find((group) => group.includes('password')) ?? [];
  }

  #apiKeyGiven(): boolean {
    return this.#value('api-key') !== undefined || this.#value('api-key-file') !== undefined;
  }

  /** The REST API knows the node; what it says is kept, so that mounting never has to ask again. */
  async #findNode(): Promise<void> {
    // Only to have something where a URL belongs: nothing is sent there.
    this.#set('node', 'node.invalid');
    const { server, logger } = await this.#resolve();
    delete this.#changes.node;
    if (server.rest === undefined)
      throw missing('the API takes the user and the password too', '--user ID --password-stdin');
    const daemon = await this.#world.daemon();
    const found = await daemon.findNode(server.rest, server.extraCaPem, {
      logger,
      signal: new AbortController().signal,
    });
    const auth = server.credentials?.kind ?? 'basic';
    const isUsual = auth !== 'basic' || found.webdavUrl === nodeUrl(found.node, auth);
    if (isUsual) this.#set('node', found.node);
    else this.#set('url', checkServerUrl(found.webdavUrl, { insecureHttp: false }).href);
    complain(`your account is on ${found.node}`);
  }

  async #resolve(): Promise<{ server: ServerOptions; logger: Logger }> {
    const request = { profile: this.#profile, flags: {} };
    const file = withProfile(this.#file, this.#path, this.#profile, this.#changes);
    const options = resolveRequest(file, request, this.#surroundings);
    const server = {
      ...(await serverOf(options, request, this.#surroundings)),
      // They are in no file yet.
      credentialSource: undefined,
    };
    const logger = await createLogger({
      level: options.values['log-level'] === 'info' ? 'warn' : options.values['log-level'],
      format: options.values['log-format'],
    });
    return { server, logger };
  }

  /** The value that the profile will have. */
  #value(name: OptionName): string | undefined {
    const change = this.#changes[name];
    if (change !== undefined) return change ?? undefined;
    return this.#file?.profiles.get(this.#profile)?.values[name] ?? this.#file?.defaults.values[name];
  }

  #set(name: OptionName, text: string): void {
    const parsed = optionSpec(name).parse(text);
    if ('wanted' in parsed) {
      const shown = optionSpec(name).secret === true ? '' : ` ${quote(text)}`;
      throw new UserError('usage', `Cannot use --${name}${shown}: ${parsed.wanted}`);
    }
    for (const other of OPTION_GROUPS_OF_ONE.find((group) => group.includes(name)) ?? [])
      this.#changes[other] = null;
    this.#changes[name] = text;
  }

  /** What belongs to another way to log in than the one that is asked for now. */
  #clearOtherAuth(): void {
    const auth = this.#changes.auth;
    if (auth === undefined) return;
    for (const name of OPTION_NAMES) {
      const isOther =
        (name === 'token-command' && auth !== 'token-command') ||
        (name === 'preemptive' && auth !== 'basic') ||
        (optionSpec(name).section === 'oauth2' && auth !== 'oauth2');
      if (isOther && this.#changes[name] === undefined) this.#changes[name] = null;
    }
  }

  /** Paths are kept absolute: the file's relative ones mean its own directory. */
  #storable(name: OptionName, text: string): string {
    if (optionSpec(name).completes === undefined || isAbsolute(text)) return text;
    return resolve(this.#world.workingDirectory, text);
  }

  #insecureHttp(): boolean {
    return this.#value('insecure-http') === 'true';
  }
}

/** Throws where one thing is said in two ways. */
function refuseTwice({ flags, url, node, apiKey, stdin }: LoginRequest): void {
  const given: OptionTexts = {
    ...flags,
    ...(url === undefined ? {} : { url }),
    ...(node === undefined ? {} : { node }),
    ...(apiKey === undefined ? {} : { 'api-key': apiKey }),
    ...(stdin === 'password' ? { password: '' } : {}),
  };
  for (const group of OPTION_GROUPS_OF_ONE) {
    const [first, second] = group.filter((name) => given[name] !== undefined);
    if (first === undefined || second === undefined) continue;
    const flag = (name: OptionName) => (name === 'password' ? '--password-stdin' : `--${name}`);
    throw new UserError(
      'usage',
      `Cannot use ${flag(second)}: it says the same as ${flag(first)}`,
      'Leave one of them out.',
    );
  }
}

function missing(found: string, flags: string): UserError {
  return new UserError(
    'usage',
    `Cannot log in: ${found}, and there is no terminal to ask on`,
    `Add ${flags}.`,
  );
}
