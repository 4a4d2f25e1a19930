/**
 * Which files are open under which names. libfuse knows a file by its path alone: whoever has a file open and whoever
 * opens its name share one inode in the kernel, with one size and one page cache. So while a file is open, its place
 * goes on showing that file, also when another client has put a new version under the name; else two versions would
 * mix in the cache.
 *
 * A file that is removed while it is open gets a place that is in no directory, under the name that libfuse makes up
 * for it (`hide_node` in lib/fuse.c of libfuse 2.9).
 *
 * INVARIANT: each open file is at one place, or is detached; a place is kept while a file is open there or it is hidden.
 */

export interface Place {
  readonly parent: number;
  readonly name: string;
  /** The file that is shown here. */
  readonly nodeId: number;
  /** Removed: there is no such name in the directory. */
  readonly hidden: boolean;
  readonly files: Set<OpenFile>;
}

export interface OpenFile {
  readonly id: number;
  readonly nodeId: number;
  /** The handler's own. */
  readonly fh: number;
  /** open(2) flags. */
  readonly flags: number;
  /** Undefined: another version took its place for good, and with it the kernel's cache. */
  place: Place | undefined;
}

/** Handles cross the native part as a signed 32-bit number, and 0 is lost there. */
const MAX_ID = 2 ** 31 - 1;

export class Places {
  readonly #places = new Map<string, Place>();
  readonly #files = new Map<number, OpenFile>();
  /** Hidden files, by their directory. */
  readonly #hiddenIn = new Map<number, number>();
  #lastId = 0;

  /** What `name` shows whatever the directory says. */
  at(parent: number, name: string): Place | undefined {
    return this.#places.get(keyOf(parent, name));
  }

  /** Notes an open file. One of another version that is open at this place loses it. */
  opened(parent: number, name: string, file: Pick<OpenFile, 'nodeId' | 'fh' | 'flags'>): OpenFile {
    let place = this.at(parent, name);
    if (place === undefined || place.nodeId !== file.nodeId) {
      this.#drop(place);
      place = this.#add({ parent, name, nodeId: file.nodeId, hidden: false, files: new Set() });
    }
    const opened: OpenFile = { ...file, id: this.#nextId(), place };
    place.files.add(opened);
    this.#files.set(opened.id, opened);
    return opened;
  }

  file(id: number): OpenFile | undefined {
    return this.#files.get(id);
  }

  released(id: number): void {
    const file = this.#files.get(id);
    if (file === undefined) return;
    this.#files.delete(id);
    const place = file.place;
    place?.files.delete(file);
    if (place !== undefined && place.files.size === 0 && !place.hidden) this.#drop(place);
  }

  /** The name was moved, and what is open there went with it. */
  moved(parent: number, name: string, newParent: number, newName: string): void {
    if (parent === newParent && name === newName) return;
    this.#drop(this.at(newParent, newName));
    this.#move(this.at(parent, name), { parent: newParent, name: newName, hidden: false });
  }

  /** The name was removed; what is open there goes on under a hidden one in the same directory. */
  hid(parent: number, name: string, hiddenName: string): void {
    this.#move(this.at(parent, name), { parent, name: hiddenName, hidden: true });
  }

  /** The name is gone: for good, also for those who have it open. */
  removed(parent: number, name: string): void {
    this.#drop(this.at(parent, name));
  }

  /** Whether any file that was removed is still open. */
  get hidesAny(): boolean {
    return this.#hiddenIn.size > 0;
  }

  /** Whether files that were removed from this directory are still open. */
  hidesIn(directory: number): boolean {
    return this.#hiddenIn.has(directory);
  }

  #move(place: Place | undefined, to: Pick<Place, 'parent' | 'name' | 'hidden'>): void {
    if (place === undefined) return;
    const files = [...place.files];
    this.#drop(place);
    const moved = this.#add({ ...to, nodeId: place.nodeId, files: new Set(files) });
    for (const file of files) file.place = moved;
  }

  #add(place: Place): Place {
    this.#places.set(keyOf(place.parent, place.name), place);
    if (place.hidden) this.#hiddenIn.set(place.parent, (this.#hiddenIn.get(place.parent) ?? 0) + 1);
    return place;
  }

  #drop(place: Place | undefined): void {
    if (place === undefined) return;
    this.#places.delete(keyOf(place.parent, place.name));
    for (const file of place.files) file.place = undefined;
    place.files.clear();
    if (!place.hidden) return;
    const left = (this.#hiddenIn.get(place.parent) ?? 0) - 1;
    if (left > 0) this.#hiddenIn.set(place.parent, left);
    else this.#hiddenIn.delete(place.parent);
  }

  #nextId(): number {
    do this.#lastId = this.#lastId === MAX_ID ? 1 : this.#lastId + 1;
    while (this.#files.has(this.#lastId));
    return this.#lastId;
  }
}

function keyOf(parent: number, name: string): string {
  return `${parent}/${name}`;
}
