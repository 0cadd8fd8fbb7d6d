import type { LabHost } from './host.ts';
import { until } from './wait.ts';

/** The token in what `weft up` or `weft invite` printed. */
export function tokenIn(text: string): string {
  const [token] = /wf1_[\w-]+/.exec(text) ?? [];
  if (token === undefined) throw new Error(`no token in ${JSON.stringify(text)}`);
  return token;
}

/** `weft join`; the token is not echoed whole. */
export async function join(host: LabHost, token: string, options: readonly string[] = []): Promise<void> {
  const say = ['weft join', `${token.slice(0, 10)}…`, ...options].join(' ');
  await host.weft(['join', token, ...options], { say });
}

/** Makes a mesh of all the hosts: `weft up` on the first, `weft join` on the others, one after the other. */
export async function joinAll(hosts: readonly LabHost[]): Promise<void> {
  const [first, ...others] = hosts;
  if (first === undefined) return;
  let token = tokenIn((await first.weft(['up'])).stdout);
  for (const [index, host] of others.entries()) {
    if (index > 0) token = tokenIn((await first.weft(['invite'])).stdout);
    await join(host, token);
  }
}

/** Resolves when every host sees every other one up. */
export async function converged(hosts: readonly LabHost[], timeout = 10_000): Promise<void> {
  for (const host of hosts) {
    const all = async () => {
      const up = (await host.status()).peers.filter((peer) => peer.state === 'up').length;
      return up === hosts.length - 1 || undefined;
    };
    await until(`${host.name} to see ${hosts.length - 1} peers up`, all, timeout);
  }
}
