import { HostError } from '../ports/host.ts';
import type { Namespace } from './namespace.ts';

/**
 * Docker gives the chain FORWARD of iptables the policy DROP when it has to switch forwarding on itself (moby#14041), and so do ufw and
 * firewalld. No table of our own can let a packet through that another one drops, so the rule is in that chain. It is only there where
 * the chain is closed: who may talk to whom is decided in our own table either way.
 */
const COMMENT = 'weft';

/** Lets what goes from the mesh to the mesh through a closed chain; true when that changed something. */
export async function admitForwarding(host: Namespace, range: string): Promise<boolean> {
  const rules = await readChain(host);
  if (!rules.includes('-P FORWARD DROP')) return false;
  const rule = ruleFor(range);
  if (rules.includes(`-A FORWARD ${rule}`)) return false;
  await iptables(host, '-I', 'FORWARD', ...rule.split(' '));
  return true;
}

/** Takes the rule away again, whatever the range was. */
export async function removeForwarding(host: Namespace): Promise<void> {
  const ours = (await readChain(host)).filter((line) => line.includes(`--comment ${COMMENT} `));
  for (const line of ours) await iptables(host, ...line.replace('-A ', '-D ').split(' '));
}

/** As `iptables -S` prints it. */
function ruleFor(range: string): string {
  return `-s ${range} -d ${range} -m comment --comment ${COMMENT} -j ACCEPT`;
}

/** Empty where there is no iptables, and so nobody who could close its chain. */
async function readChain(host: Namespace): Promise<readonly string[]> {
  try {
    return (await iptables(host, '-S', 'FORWARD')).split('\n');
  } catch (error) {
    if (error instanceof HostError && error.code === 'tool-missing') return [];
    throw error;
  }
}

/** `-w`: waits while another program, often Docker, changes rules. */
function iptables(host: Namespace, ...words: readonly string[]): Promise<string> {
  return host.run(['iptables', '-w', '5', ...words]);
}
