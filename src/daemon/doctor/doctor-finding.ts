/** One thing that the doctor looked at. */

/** `note`: works, and could be better; `warn`: may make trouble; `bad`: something cannot work. */
export type FindingState = 'ok' | 'note' | 'warn' | 'bad';

export interface Finding {
  readonly area: 'machine' | 'configuration' | 'server';
  /** A short name that scripts can rely on, such as `clock`. */
  readonly name: string;
  readonly state: FindingState;
  /** What was found, without a full stop. */
  readonly found: string;
  /** What to do about it: a sentence. */
  readonly todo?: string;
  /** The figures behind it; units in the names. */
  readonly figures?: Readonly<Record<string, number | string | boolean>>;
}

/** Makes the function that makes the findings of an area. */
export function findingsOf(
  area: Finding['area'],
): (
  name: string,
  state: FindingState,
  found: string,
  todo?: string,
  figures?: NonNullable<Finding['figures']>,
) => Finding {
  return (name, state, found, todo, figures) => ({
    area,
    name,
    state,
    found,
    ...(todo === undefined ? {} : { todo }),
    ...(figures === undefined ? {} : { figures }),
  });
}
