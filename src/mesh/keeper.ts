/**
 * The one owner of the state file. Each part of the mesh has a named section; any number of sections set in one turn of the event
 * loop go to disk in one write, and a write that is under way is followed by one more with all that came since.
 */
export interface Keeper {
  /** `check` turns unchecked data into T or throws with a message that names the field; `initial` is used when the section is absent. */
  section<T>(name: string, check: (data: unknown) => T, initial: T): Section<T>;
  /** Resolves when everything set so far is on disk. */
  flush(): Promise<void>;
}

export interface Section<T> {
  get(): T;
  /** Takes effect at once in memory; resolves when on disk. Whoever promises something to others awaits it first. */
  set(value: T): Promise<void>;
}
