import type { Tool } from '../types.js';
import { bindfs } from './bindfs.js';
import { davfs2 } from './davfs2.js';
import { infinimount } from './infinimount.js';
import { local } from './local.js';
import { rclone } from './rclone.js';

/** In the order of the table. */
export const TOOLS: readonly Tool[] = [infinimount, local, bindfs, rclone, davfs2];
