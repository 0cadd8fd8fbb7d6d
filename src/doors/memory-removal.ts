import type { PeerStatus } from './control.ts';
import { ControlError } from './errors.ts';
import type { HostName, RemovalControl } from './removal.ts';

/** Removal by the twin: `peers` are the other hosts, `self` is this one. */
export function createMemoryRemoval(
  self: HostName,
  requireMesh: () => void,
  peers: { get(): readonly PeerStatus[]; set(peers: readonly PeerStatus[]): void },
): RemovalControl {
  const gone = new Set<string>();

  function find(text: string): PeerStatus {
    requireMesh();
    if (text === self.nickname || text === self.peer) throw new ControlError('own-peer');
    const found = peers.get().filter(({ id, nickname }) => nickname === text || id === text);
    const [first, second] = found;
    if (second !== undefined) throw new ControlError('ambiguous-peer');
    if (first !== undefined) return first;
    throw new ControlError(gone.has(text) ? 'already-removed' : 'unknown-peer');
  }

  function take(peer: PeerStatus) {
    peers.set(peers.get().filter(({ id }) => id !== peer.id));
    gone.add(peer.nickname);
    return { peer: peer.id, nickname: peer.nickname, by: self, waiting: [] };
  }

  return {
    async removePeer({ peer, yes = false }) {
      const found = find(peer);
      if (found.state === 'up' && !yes) throw new ControlError('peer-up', `${found.nickname} is up`);
      return take(found);
    },
    recover: async ({ peer }) => take(find(peer)),
    async handOver({ from, to }) {
      requireMesh();
      const name = ({ id, nickname }: PeerStatus): HostName => ({ peer: id, nickname });
      const isSelf = (text: string) => text === self.nickname || text === self.peer;
      const [leaves, heir] = [from ?? self.nickname, to].map((text) =>
        isSelf(text) ? self : name(find(text)),
      );
      if (leaves?.peer === heir?.peer) throw new ControlError('same-peer');
      return { from: leaves as HostName, to: heir as HostName, handed: [], kept: [] };
    },
    async exportRoot() {
      requireMesh();
      return { key: `wfr1_${'A'.repeat(48)}` };
    },
  };
}
