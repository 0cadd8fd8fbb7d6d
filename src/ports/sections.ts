/** Named parts of the one state file; the real ones are mesh/keeper.ts. */
export interface Sections {
  /** `check` turns unchecked data into T or throws with a message that names the field; `initial` is used when the section is absent. */
  section<T>(name: string, check: (data: unknown) => T, initial: T): Section<T>;
}

export interface Section<T> {
  get(): T;
  /** In memory at once, on disk when it resolves. Sections set in one turn of the event loop go to disk together. */
  set(value: T): Promise<void>;
}
