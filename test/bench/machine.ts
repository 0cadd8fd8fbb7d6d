import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';

/** What figures depend on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  readonly system: string;
  readonly node: string;
  readonly openssl: string;
}

export function describeMachine(): Machine {
  const named = /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    kernel: release(),
    system: named ?? 'unknown',
    node: process.version,
    openssl: process.versions.openssl,
  };
}
