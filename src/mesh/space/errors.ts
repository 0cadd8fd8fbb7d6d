export type SpaceErrorCode =
  | 'bad-address'
  | 'outside-range'
  | 'reserved'
  | 'in-use'
  | 'owner-unreachable'
  | 'no-space'
  | 'timeout'
  | 'unknown-network'
  /** The donor's heir cannot be reached, so nothing can be donated. */
  | 'no-witness'
  /** What was handed over as a grant is none for this peer. */
  | 'bad-grant'
  /** This host was removed from the mesh. */
  | 'removed'
  | 'closed';

export class SpaceError extends Error {
  readonly code: SpaceErrorCode;
  constructor(code: SpaceErrorCode, message: string) {
    super(message);
    this.name = 'SpaceError';
    this.code = code;
  }
}
