/**
 * A server and the account on it, as the daemon takes them: checked, secrets wrapped, files read. Nothing here looks at
 * the server.
 */

import { join, resolve } from 'node:path';
import { quote, Secret, UserError } from '../base/index.js';
import { checkCombinations } from './combinations.js';
import { type ConfigFile, readConfigFile } from './config-file.js';
import { API_KEY, type ApiKeyPlacement, type Grant, type OptionName, type OptionValues } from './options.js';
import { defaultConfigPath, type Environment, pathInConfig, serverName, tokenPath } from './paths.js';
import { readPrivateFile } from './private-file.js';
import type { RequestedOptions } from './requested-options.js';
import { type NewSecrets, type SecretWrites, writeSecrets } from './secret-places.js';
import { readCredential, readSecretFile, runSecretCommand } from './secrets.js';
import { checkServerUrl } from './server-url.js';
import { type OptionTexts, resolveOptions } from './sources.js';

export interface BasicLogin {
  readonly kind: 'basic';
  readonly user: string;
  readonly password: Secret;
  /** Whether they are sent with the first request, before the server asks. */
  readonly preemptive: boolean;
}

export interface OAuth2Login {
  readonly kind: 'oauth2';
  readonly user: string | undefined;
  /** Undefined: the endpoints are given. */
  readonly issuer: string | undefined;
  readonly tokenEndpoint: string | undefined;
  readonly deviceAuthorizationEndpoint: string | undefined;
  readonly authorizationEndpoint: string | undefined;
  readonly clientId: string;
  readonly clientSecret: Secret | undefined;
  readonly scope: string | undefined;
  readonly grant: Grant;
  /** Absolute path of the file that the tokens are kept in. */
  readonly tokenFile: string;
}

export interface TokenCommandLogin {
  readonly kind: 'token-command';
  readonly user: string | undefined;
  /** For /bin/sh -c. */
  readonly command: string;
}

/** How to log in to the WebDAV server. */
export type Credentials = BasicLogin | OAuth2Login | TokenCommandLogin;

/** How to use the InfiniCLOUD REST API; it takes user and password, whatever the WebDAV server takes. */
export interface RestAccess {
  /** https, without a path. */
  readonly url: string;
  readonly key: Secret;
  readonly keyPlacement: ApiKeyPlacement;
  readonly user: string;
  readonly password: Secret;
}

/** Where the credentials come from, so that new ones are taken up while a mount runs. */
export interface CredentialSource {
  /** Files that change when the credentials do; absolute. */
  readonly files: readonly string[];
  /** Reads them again, asking nobody; rejects with {@link UserError}. */
  read(): Promise<{ readonly credentials: Credentials | undefined; readonly rest: RestAccess | undefined }>;
  /** Writes new ones where they come from, as far as that can be; rejects with {@link UserError}. */
  write(secrets: NewSecrets): Promise<SecretWrites>;
}

export interface ServerOptions {
  /** Undefined for a URL of the command line. */
  readonly profile: string | undefined;
  /** http or https, without credentials, ending in a slash. */
  readonly url: string;
  /** Undefined: requests carry no authentication. */
  readonly credentials: Credentials | undefined;
  /** Undefined where they cannot be read again: they were typed. */
  readonly credentialSource: CredentialSource | undefined;
  /** Undefined without an API key, or without a password to go with it. */
  readonly rest: RestAccess | undefined;
  readonly insecureHttp: boolean;
  /** Certificates to trust besides the system's, PEM. */
  readonly extraCaPem: string | undefined;
  readonly maxConnections: number;
  readonly connectTimeoutMs: number;
  readonly readTimeoutMs: number;
}

/** How the server is reached. */
export type LineOptions = Pick<
  ServerOptions,
  'url' | 'insecureHttp' | 'extraCaPem' | 'maxConnections' | 'connectTimeoutMs' | 'readTimeoutMs'
>;

/** The surroundings of the process, so that tests need not change them. */
export interface Surroundings {
  readonly environment: Environment;
  readonly workingDirectory: string;
  /** Asks a person for the password; undefined where nobody can be asked. */
  readonly askPassword?: (question: string) => Promise<string>;
  /** What was typed, or put out by the password command, when an earlier daemon of this mount started. */
  readonly rememberedPassword?: Secret;
}

/** Which server: a URL, or a profile of the configuration file. */
export interface ServerRequest {
  /** Wins over the profile's. */
  readonly url?: string;
  readonly profile?: string;
  /** Absent: the one in the usual place, where a profile is named. */
  readonly configFile?: string;
  readonly flags: OptionTexts;
}

/** Resolves the options of a request; rejects with {@link UserError}. */
export async function requestedOptions(
  request: ServerRequest,
  surroundings: Surroundings,
): Promise<RequestedOptions> {
  return resolveRequest(await findFile(request, surroundings), request, surroundings);
}

/** The same with a file that was read already; throws {@link UserError}. */
export function resolveRequest(
  file: ConfigFile | undefined,
  request: ServerRequest,
  { environment, workingDirectory }: Surroundings,
): RequestedOptions {
  const sections = file === undefined ? [] : sectionsOf(file, request.profile);
  const resolved = resolveOptions({
    flags: request.flags,
    environment,
    ...(file === undefined ? {} : { file: { path: file.path, sections } }),
  });
  checkCombinations(resolved.values, resolved.origins);
  const path = (name: OptionName, text: string) => {
    const configPath = resolved.origins.get(name)?.file;
    return configPath === undefined
      ? resolve(workingDirectory, text)
      : pathInConfig(text, configPath, environment);
  };
  return { ...resolved, file, path };
}

async function findFile(
  { configFile, profile }: ServerRequest,
  { environment, workingDirectory }: Surroundings,
): Promise<ConfigFile | undefined> {
  if (configFile !== undefined) return await readConfigFile(resolve(workingDirectory, configFile));
  return profile === undefined ? undefined : await readConfigFile(defaultConfigPath(environment));
}

function sectionsOf(file: ConfigFile, profile: string | undefined): ConfigFile['defaults'][] {
  if (profile === undefined) return [file.defaults];
  return [requireProfile(file, profile), file.defaults];
}

/** The profile's section; throws a {@link UserError} that names those there are. */
export function requireProfile(file: ConfigFile, profile: string): ConfigFile['defaults'] {
  const section = file.profiles.get(profile);
  if (section !== undefined) return section;
  const names = [...file.profiles.keys()];
  throw new UserError(
    'usage',
    `Cannot use the profile ${quote(profile)}: there is no [profile.${profile}] in ${quote(file.path)}`,
    names.length === 0
      ? 'Make one with: infinimount login'
      : `There ${names.length === 1 ? 'is' : 'are'}: ${names.join(', ')}.`,
  );
}

/** The server's part of the options; rejects with {@link UserError}. */
export async function resolveServer(
  request: ServerRequest,
  surroundings: Surroundings,
): Promise<{ readonly server: ServerOptions; readonly options: RequestedOptions }> {
  const options = await requestedOptions(request, surroundings);
  return { server: await serverOf(options, request, surroundings), options };
}

/** The server's part of options that were resolved already; rejects with {@link UserError}. */
export async function serverOf(
  options: RequestedOptions,
  request: ServerRequest,
  surroundings: Surroundings,
): Promise<ServerOptions> {
  const url = findUrl(request, options.values);
  const asked = await findLogin(options, url, request.profile, surroundings);
  return {
    ...(await lineOf(options, request)),
    profile: request.profile,
    credentials: asked.credentials,
    rest: asked.rest,
    credentialSource: asked.typed ? undefined : sourceOf(request, options, asked.credentials, surroundings),
  };
}

/** What of the server's part has nothing to do with who logs in; rejects with {@link UserError}. */
export async function lineOf(options: RequestedOptions, request: ServerRequest): Promise<LineOptions> {
  const { values } = options;
  const caFile = values['ca-file'];
  return {
    url: findUrl(request, values).href,
    insecureHttp: values['insecure-http'],
    extraCaPem: caFile === undefined ? undefined : await readCaFile(options.path('ca-file', caFile)),
    maxConnections: values['max-connections'],
    connectTimeoutMs: values['connect-timeout'],
    readTimeoutMs: values['read-timeout'],
  };
}

/** The URL of a request's server; throws {@link UserError}. */
export function findUrl(request: ServerRequest, values: OptionValues): URL {
  const rules = { insecureHttp: values['insecure-http'] };
  if (request.url !== undefined) return checkServerUrl(request.url, rules);
  if (values.url !== undefined) return checkServerUrl(values.url, rules);
  if (values.node !== undefined) return checkServerUrl(nodeUrl(values.node, values.auth), rules);
  throw new UserError(
    'config-file',
    `Cannot use the profile ${quote(request.profile ?? '')}: it has neither url nor node`,
    'Add a line such as: url = "https://NODE/dav/"',
  );
}

/** The WebDAV folder of an InfiniCLOUD node: `/v2/dav/` takes OAuth2 only, and `/dav/` BASIC only. */
export function nodeUrl(node: string, auth: OptionValues['auth']): string {
  return `https://${node}${auth === 'basic' ? '/dav/' : '/v2/dav/'}`;
}

/** What rereading does: the same request, without a person to ask. */
function sourceOf(
  request: ServerRequest,
  options: RequestedOptions,
  credentials: Credentials | undefined,
  surroundings: Surroundings,
): CredentialSource {
  const { environment, workingDirectory } = surroundings;
  const silent: Surroundings = { environment, workingDirectory };
  const secretFiles = (['password-file', 'client-secret-file', 'api-key-file'] as const).flatMap((name) => {
    const given = options.values[name];
    return given === undefined ? [] : [options.path(name, given)];
  });
  const tokens = credentials?.kind === 'oauth2' ? [credentials.tokenFile] : [];
  const { CREDENTIALS_DIRECTORY: handedOver } = environment;
  const credential = options.values['password-credential'];
  const credentialFiles =
    credential === undefined || handedOver === undefined ? [] : [join(handedOver, credential)];
  return {
    files: [
      ...(options.file === undefined ? [] : [options.file.path]),
      ...secretFiles,
      ...credentialFiles,
      ...tokens,
    ],
    read: async () => {
      const again = await requestedOptions(request, silent);
      return await findLogin(again, findUrl(request, again.values), request.profile, silent);
    },
    write: async (secrets) => writeSecrets(await requestedOptions(request, silent), request.profile, secrets),
  };
}

interface Login {
  readonly credentials: Credentials | undefined;
  readonly rest: RestAccess | undefined;
  /** Whether a person typed the password. */
  readonly typed: boolean;
}

async function findLogin(
  options: RequestedOptions,
  url: URL,
  profile: string | undefined,
  surroundings: Surroundings,
): Promise<Login> {
  const { values } = options;
  const { user } = values;
  const given = user === undefined ? undefined : await givenPassword(options, surroundings);
  if (values.auth === 'basic') {
    if (user === undefined) return { credentials: undefined, rest: undefined, typed: false };
    const password = given ?? (await askForPassword(user, url, surroundings));
    return {
      credentials: { kind: 'basic', user, password, preemptive: values.preemptive },
      rest: await restAccess(options, user, password),
      typed: given === undefined,
    };
  }
  const rest = user === undefined || given === undefined ? undefined : await restAccess(options, user, given);
  if (values.auth === 'token-command') {
    const command = values['token-command'] ?? '';
    return { credentials: { kind: 'token-command', user, command }, rest, typed: false };
  }
  const secretFile = values['client-secret-file'];
  const credentials: OAuth2Login = {
    kind: 'oauth2',
    user,
    issuer: values.issuer,
    tokenEndpoint: values['token-endpoint'],
    deviceAuthorizationEndpoint: values['device-authorization-endpoint'],
    authorizationEndpoint: values['authorization-endpoint'],
    clientId: values['client-id'] ?? '',
    clientSecret:
      secretFile === undefined
        ? values['client-secret']
        : await readSecretFile(
            options.path('client-secret-file', secretFile),
            'client secret file',
            'password',
          ),
    scope: values.scope,
    grant: values.grant,
    tokenFile: tokenPath(profile ?? serverName(url, user), surroundings.environment),
  };
  return { credentials, rest, typed: false };
}

async function givenPassword(
  options: RequestedOptions,
  { environment, rememberedPassword }: Surroundings,
): Promise<Secret | undefined> {
  const { values, path } = options;
  const { password, 'password-file': file, 'password-command': command } = values;
  const credential = values['password-credential'];
  if (password !== undefined) return password;
  if (file !== undefined)
    return await readSecretFile(path('password-file', file), 'password file', 'password');
  // The command may ask a person, and programs are waiting for the mount.
  if (command !== undefined) return rememberedPassword ?? (await runSecretCommand(command));
  if (credential !== undefined) return await readCredential(credential, environment.CREDENTIALS_DIRECTORY);
  return undefined;
}

async function askForPassword(
  user: string,
  url: URL,
  { askPassword, rememberedPassword }: Surroundings,
): Promise<Secret> {
  if (rememberedPassword !== undefined) return rememberedPassword;
  if (askPassword === undefined) {
    throw new UserError(
      'password',
      `Cannot log in as ${quote(user)}: there is no password and no terminal to ask on`,
      'Use --password-file FILE.',
    );
  }
  const answer = await askPassword(`Password of ${user} on ${url.host}: `);
  if (answer === '')
    throw new UserError('password', `Cannot log in as ${quote(user)}: the password is empty`);
  return new Secret(answer);
}

async function restAccess(
  options: RequestedOptions,
  user: string,
  password: Secret,
): Promise<RestAccess | undefined> {
  const { values } = options;
  const file = values['api-key-file'];
  const key =
    file === undefined ? values['api-key'] : await readApiKeyFile(options.path('api-key-file', file));
  if (key === undefined) return undefined;
  return { url: checkApiUrl(values.api), key, keyPlacement: values['api-key-placement'], user, password };
}

/** Where the REST API is: credentials go there too, so the rules of the server's URL hold. */
export function checkApiUrl(text: string): string {
  return checkServerUrl(text, { insecureHttp: false }).origin;
}

export async function readApiKeyFile(path: string): Promise<Secret> {
  const key = await readSecretFile(path, 'API key file', 'password');
  if (API_KEY.test(key.reveal())) return key;
  throw new UserError('password', `Cannot use the API key file ${quote(path)}: ${API_KEY.wanted}`);
}

export async function readCaFile(path: string): Promise<string> {
  const { text } = await readPrivateFile(path, { role: 'CA file', code: 'ca-file' });
  if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  throw new UserError('ca-file', `Cannot use the CA file ${quote(path)}: there is no PEM certificate in it`);
}
