import type { PeerId } from '../core/ids.ts';
import { decodeRootKey, encodeRootKey } from '../core/root-key.ts';
import { ControlError } from '../doors/errors.ts';
import type { HandedOver, HostName, RemovalControl, RemovedPeer } from '../doors/removal.ts';
import { nodeCrypto } from '../host/crypto.ts';
import { KEY, readPeerRecord } from '../mesh/records.ts';
import type { Removed } from '../mesh/removal.ts';
import type { Network } from './network.ts';

/** Shorter ends of an id are no name. */
const SHORTEST_END = 6;

export function createRemovalControl(running: () => Network): RemovalControl {
  function named({ mesh }: Network, peer: PeerId): HostName {
    return { peer, nickname: nicknameOf(mesh, peer) };
  }

  function shown(network: Network, { peer, by, waiting }: Removed): RemovedPeer {
    return {
      ...named(network, peer),
      by: named(network, by),
      waiting: waiting.map((one) => named(network, one)),
    };
  }

  return {
    async removePeer({ peer: text, yes = false }) {
      const network = running();
      const { mesh } = network;
      const peer = findPeer(mesh, text);
      if (
        !yes &&
        peer !== mesh.membership.self &&
        mesh.membership.isMember(peer) &&
        mesh.liveness.isUp(peer)
      ) {
        throw new ControlError('peer-up', `${nicknameOf(mesh, peer)} (…${peer.slice(-8)}) is up`);
      }
      return shown(network, await mesh.removal.remove(peer));
    },
    async recover({ peer: text, key, force = false }) {
      const network = running();
      const seed = key === undefined ? network.mesh.membership.rootSeed() : decodeRootKey(key, nodeCrypto);
      if (seed === undefined) throw new ControlError('bad-root-key');
      if (seed === null) throw new ControlError('no-root-key');
      return shown(network, await network.mesh.removal.recover(findPeer(network.mesh, text), seed, force));
    },
    async handOver({ from, to }): Promise<HandedOver> {
      const network = running();
      const { mesh } = network;
      const leaves = from === undefined ? mesh.membership.self : findPeer(mesh, from);
      const outcome = await mesh.handover.handOver(leaves, findPeer(mesh, to));
      return {
        from: named(network, outcome.from),
        to: named(network, outcome.to),
        handed: outcome.handed.map((peer) => named(network, peer)),
        kept: outcome.kept.map(({ peer, why }) => ({ ...named(network, peer), why })),
      };
    },
    async exportRoot() {
      const seed = running().mesh.membership.rootSeed();
      if (seed === null) throw new ControlError('no-root-key');
      return { key: encodeRootKey(seed, nodeCrypto) };
    },
  };
}

function nicknameOf({ records }: Network['mesh'], peer: PeerId): string {
  return readPeerRecord(records.get(peer, KEY.peer))?.nickname ?? `…${peer.slice(-8)}`;
}

/** Members first: a name may have been another host's before. */
function findPeer(mesh: Network['mesh'], text: string): PeerId {
  const { membership } = mesh;
  const matches = (peer: PeerId) =>
    peer === text || nicknameOf(mesh, peer) === text || (text.length >= SHORTEST_END && peer.endsWith(text));
  const members = membership.members().filter(matches);
  const others = [...membership.outsiders(), ...membership.removed()];
  const found = members.length > 0 ? members : others.filter(matches);
  const [first, second] = found;
  if (first === undefined) throw new ControlError('unknown-peer', `there is no host ${text} in this mesh`);
  if (second === undefined) return first;
  const which = found.map((peer) => `…${peer.slice(-8)}`).join(', ');
  throw new ControlError('ambiguous-peer', `${found.length} hosts are called ${text}: ${which}`);
}
