export {
  type ProfileChanges,
  removeProfile,
  removeSecrets,
  withProfile,
  writeProfile,
} from './config-edit.js';
export {
  type ConfigFile,
  type ConfigSection,
  configPlace,
  isProfileName,
  readConfigFile,
  readConfigIfThere,
} from './config-file.js';
export { checkConfig, type ShownOption, shownOptions } from './inspect.js';
export {
  backgroundLogFile,
  defaultMountOptions,
  type LogSettings,
  type MountOptions,
  type MountPart,
  type MountRequest,
  type MountTarget,
  type OptionSource,
  type OptionsNow,
  resolveMount,
} from './mount-options.js';
export { nearest } from './nearest.js';
export {
  duration,
  OPTION_CHANGES,
  OPTION_GROUPS,
  type OptionChange,
  type OptionGroup,
  type OptionSpec,
} from './option-kinds.js';
export {
  API_KEY,
  type ApiKeyPlacement,
  type AuthKind,
  environmentName,
  FLAG_NAMES,
  type Grant,
  isOptionName,
  type KernelIo,
  OPTION_GROUPS_OF_ONE,
  OPTION_NAMES,
  type OptionName,
  optionSpec,
  type SyncMode,
} from './options.js';
export {
  controlSocketPath,
  defaultCacheDir,
  defaultConfigPath,
  type Environment,
  runtimeDir,
  tokenPath,
} from './paths.js';
export type { RequestedOptions } from './requested-options.js';
export type { NewSecrets, SecretWrites } from './secret-places.js';
export {
  type BasicLogin,
  type CredentialSource,
  type Credentials,
  type LineOptions,
  nodeUrl,
  type OAuth2Login,
  type RestAccess,
  requireProfile,
  resolveRequest,
  resolveServer,
  type ServerOptions,
  type ServerRequest,
  type Surroundings,
  serverOf,
  type TokenCommandLogin,
} from './server-options.js';
export { checkServerUrl, isLoopback } from './server-url.js';
export type { OptionTexts } from './sources.js';
