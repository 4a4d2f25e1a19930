/** The version of the database's layout, and the steps from older ones. */

import { OWN_META_PREFIX } from './backing.js';
import { pack, unpack } from './codec.js';
import { StateError } from './errors.js';
import { type Environment, FIRST_INO, type Tables } from './tables.js';

export const META_VERSION = `${OWN_META_PREFIX}version`;

export interface Migration {
  readonly from: number;
  readonly to: number;
  /** Runs inside the transaction that also raises the version, with the tables' *Sync methods. */
  readonly migrate: (tables: Tables) => void;
}

export interface Schema {
  readonly version: number;
  readonly migrations: readonly Migration[];
}

/**
 * 2: a base may have a digest, a file what it is a copy of. Records of version 1 are read as they are; but who knows only
 * those would take a copy whose bytes are still to come for a file without any.
 */
export const SCHEMA: Schema = { version: 2, migrations: [{ from: 1, to: 2, migrate: () => undefined }] };

/** The version that the database was written by; undefined for an empty one. Throws `StateError` 'newer' or 'damaged'. */
export function checkVersion(tables: Tables, schema: Schema, path: string): number | undefined {
  const bytes = tables.meta.get(META_VERSION);
  if (bytes === undefined) {
    for (const _ of tables.nodes.getRange({ start: FIRST_INO, limit: 1 })) {
      throw new StateError(
        'damaged',
        `The state database "${path}" has nodes but no version. Nothing was changed or deleted`,
      );
    }
    return undefined;
  }
  const version = unpack(bytes, 'the version');
  if (typeof version !== 'number') {
    throw new StateError(
      'damaged',
      `The state database "${path}" has no readable version. Nothing was changed or deleted`,
    );
  }
  if (version > schema.version) {
    throw new StateError(
      'newer',
      `The state database "${path}" has version ${version}, this program knows up to ${schema.version}. Use a newer program`,
    );
  }
  return version;
}

/** Brings the database to the schema's version, step by step in one transaction. `version`: as {@link checkVersion} found. */
export function migrate(
  environment: Environment,
  schema: Schema,
  version: number | undefined,
  path: string,
): void {
  if (version === schema.version) return;
  environment.transactSync(() => {
    let at = version ?? schema.version;
    while (at < schema.version) {
      const step = schema.migrations.find((migration) => migration.from === at);
      if (step === undefined) {
        throw new StateError(
          'damaged',
          `The state database "${path}" has version ${at}, which no migration starts from`,
        );
      }
      step.migrate(environment.tables);
      at = step.to;
    }
    environment.tables.meta.putSync(META_VERSION, pack(schema.version));
  });
}
