export type NetworkErrorCode =
  /** A name, a subnet, an address or an option that cannot be one. */
  | 'bad-network'
  | 'subnet-outside'
  /** Another network has addresses of the subnet. */
  | 'subnet-taken'
  /** Addresses of the subnet are in use, or somebody else asks for them at the same time. */
  | 'subnet-in-use'
  /** An owner of addresses of the subnet does not answer. */
  | 'subnet-unreachable'
  | 'network-name-taken'
  | 'network-in-use'
  | 'unknown-network'
  /** `weft` itself can be neither renamed nor removed. */
  | 'network-permanent'
  | 'no-space'
  | 'space-timeout'
  | 'stopping';

export class NetworkError extends Error {
  readonly code: NetworkErrorCode;
  constructor(code: NetworkErrorCode, message: string) {
    super(message);
    this.name = 'NetworkError';
    this.code = code;
  }
}
