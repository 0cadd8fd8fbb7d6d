export type DockerErrorCode =
  /** What Docker sent is not what the protocol says. */
  | 'bad-call'
  | 'unknown-method'
  /** Something that Weft's networks do not do. */
  | 'not-supported'
  | 'unknown-pool'
  | 'unknown-network'
  | 'unknown-endpoint'
  | 'address-in-use'
  /** Of whoever stands in for weftd: it is silent, or has refused what was led to it. */
  | 'no-answer'
  | 'refused';

/** The message is shown by Docker as it is: it says what to do. */
export class DockerError extends Error {
  readonly code: DockerErrorCode;
  constructor(code: DockerErrorCode, message: string) {
    super(message);
    this.name = 'DockerError';
    this.code = code;
  }
}
