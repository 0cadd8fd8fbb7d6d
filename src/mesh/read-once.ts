/**
 * `read`, once for each value of a record, which is looked at again and again and never changed. Peers of one simulation share values, and so
 * what was read of them.
 */
export function readOnce<T>(read: (value: unknown) => T): (value: unknown) => T {
  const known = new WeakMap<object, { readonly of: T }>();
  return (value) => {
    if (typeof value !== 'object' || value === null) return read(value);
    let found = known.get(value);
    if (found === undefined) {
      found = { of: read(value) };
      known.set(value, found);
    }
    return found.of;
  };
}
