export {
  type Credentials,
  defaultCacheDir,
  defaultMountOptions,
  type LogSettings,
  type MountOptions,
  type MountRequest,
  resolveMount,
  type Surroundings,
} from './mount-options.js';
export { nearest } from './nearest.js';
export { OPTION_GROUPS, type OptionGroup, type OptionSpec } from './option-kinds.js';
export {
  environmentName,
  isOptionName,
  OPTION_NAMES,
  type OptionName,
  optionSpec,
  type SyncMode,
} from './options.js';
export { checkServerUrl, isLoopback } from './server-url.js';
export type { OptionTexts } from './sources.js';
