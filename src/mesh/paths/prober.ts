import { equalBytes, toHex } from '../../core/bytes.ts';
import type { Crypto } from '../../core/crypto.ts';
import type { PeerId } from '../../core/ids.ts';
import { createPathProbe, type PathProbe, type ProbeEvent, type ProbeStatus } from '../../core/path-probe.ts';
import { decodeProbe, encodeProbe, probeKey } from '../../core/wire/probe.ts';
import type { Clock, Timer } from '../../ports/clock.ts';
import {
  FAST_PATH_DEVICES,
  type Host,
  PROBE_PORT,
  type UnderlayFamily,
  underlayFamily,
} from '../../ports/host.ts';
import type { Log } from '../../ports/log.ts';
import type { OpenProbes } from '../../ports/probes.ts';
import type { Random } from '../../ports/random.ts';
import type { OpenMembership } from '../membership.ts';
import { createProbeDoor, type ProbeDoor } from './door.ts';

/** Gives core/path-probe what it may not have itself: time, the sockets on the devices, and the mesh's key. Answers what others ask. */
export interface Prober {
  /** `underlay`: where the peer's device is. `adopted`: the path was in use with this MTU before this life began. */
  begin(peer: PeerId, underlay: string, adopted: number | undefined): void;
  forget(peer: PeerId): void;
  status(peer: PeerId): ProbeStatus | undefined;
  /** MTU of the path where it works. */
  usable(peer: PeerId): number | undefined;
  /** There is a device for IPv4, and for these families: opens their sockets, anew where the old one hears nothing. */
  open(families: ReadonlySet<UnderlayFamily>): void;
  /** No device is wanted any more. */
  shut(): void;
  /** Why a socket cannot be opened. */
  obstacle(): string | null;
  close(): void;
}

export interface ProberParts {
  readonly self: PeerId;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly host: Pick<Host, 'fastPathSent'>;
  readonly openProbes: OpenProbes;
  readonly membership: Pick<OpenMembership, 'epochs'>;
  readonly ends: (peer: PeerId) => { readonly linkLocal: string };
  /** Whether both ends trust the link. */
  readonly isOpen: (peer: PeerId) => boolean;
  /** Whether the control plane reaches the peer. A daemon that has ended answers no probe, and its kernel goes on. */
  readonly isReached: (peer: PeerId) => boolean;
  readonly full: number;
  /** A path has come up or gone down, or has another MTU. */
  readonly onChange: () => void;
}

/** IPv6 40, UDP 8. */
const HEADERS = 48;
/** How often it is seen whether anything but probes goes over the device, ms. */
const USE_EVERY = 1_000;
/** A daemon that has just come back opens its doors first, ms. */
const SETTLING = 2_000;
/** A timer that comes later than this tells of a busy process: what has arrived meanwhile is read first. */
const LATE = 50;

interface Probed {
  readonly family: UnderlayFamily;
  probe: PathProbe;
  timer: Timer | undefined;
  /** The control plane has lost the peer; the path stays as it is. */
  paused: boolean;
}

export function createProber(parts: ProberParts): Prober {
  const { self, crypto, clock, log, host, membership, ends, isOpen, isReached, full, onChange } = parts;
  const probed = new Map<PeerId, Probed>();
  const byAddress = new Map<string, PeerId>();
  const life = parts.random.bytes(8);
  const doors: Readonly<Record<UnderlayFamily, ProbeDoor>> = { 4: doorOf(4), 6: doorOf(6) };
  let closed = false;
  let sent = 0;
  let seenSent = 0;
  let usage: Timer | undefined;
  let keys: { secrets: string; keys: readonly Uint8Array[] } = { secrets: '', keys: [] };

  function doorOf(family: UnderlayFamily): ProbeDoor {
    return createProbeDoor({
      device: FAST_PATH_DEVICES[family],
      address: ends(self).linkLocal,
      port: PROBE_PORT,
      log,
      openProbes: parts.openProbes,
      onMessage: (from, bytes) => receive(family, from, bytes),
    });
  }

  /** Newest first. */
  function currentKeys(): readonly Uint8Array[] {
    const epochs = membership.epochs();
    const secrets = epochs.map(({ secret }) => toHex(secret)).join();
    if (secrets !== keys.secrets)
      keys = { secrets, keys: epochs.map(({ secret }) => probeKey(crypto, secret)) };
    return keys.keys;
  }

  function transmit(
    peer: PeerId,
    kind: 'ask' | 'answer',
    number: number,
    whose: Uint8Array,
    size: number,
  ): void {
    const [key] = currentKeys();
    const known = probed.get(peer);
    if (known === undefined || key === undefined) return;
    const probe = { kind, number, life: whose };
    const bytes = encodeProbe(crypto, key, { from: self, to: peer }, probe, size);
    if (doors[known.family].send(ends(peer).linkLocal, bytes)) sent += 1;
  }

  /** True for a good probe. */
  function receive(family: UnderlayFamily, from: string, bytes: Uint8Array): boolean {
    const peer = byAddress.get(from);
    if (peer === undefined || !isOpen(peer) || probed.get(peer)?.family !== family) return false;
    const probe = decodeProbe(crypto, currentKeys(), { from: peer, to: self }, bytes);
    if (probe === undefined) return false;
    if (probe.kind === 'ask') transmit(peer, 'answer', probe.number, probe.life, bytes.length);
    else if (equalBytes(probe.life, life)) step(peer, { type: 'answer', number: probe.number });
    return true;
  }

  function step(peer: PeerId, event: ProbeEvent): void {
    const known = probed.get(peer);
    if (known === undefined || closed) return;
    if (known.paused !== !isReached(peer)) resume(peer, known);
    const before = known.probe.status();
    if (!known.paused) {
      for (const { number, size } of known.probe.step(event, clock.now()))
        transmit(peer, 'ask', number, life, size - HEADERS);
    }
    const { up, mtu, reason } = known.probe.status();
    if (up !== before.up)
      log.info(up ? 'the fast path works' : 'the fast path does not work', { peer, mtu, reason });
    if (up !== before.up || mtu !== before.mtu) onChange();
    schedule(peer, known);
  }

  /** What was under way when the peer went says nothing about the path. */
  function resume(peer: PeerId, known: Probed): void {
    known.paused = !isReached(peer);
    const { up, mtu } = known.probe.status();
    // A path that is down has nothing to lose by a probe that comes too early.
    const fresh = up ? { full, adopted: mtu, notBefore: clock.now() + SETTLING } : { full };
    known.probe = createPathProbe(fresh);
  }

  function schedule(peer: PeerId, known: Probed): void {
    known.timer?.cancel();
    const due = known.paused ? clock.now() + USE_EVERY : known.probe.nextAt();
    known.timer = clock.setTimer(Math.max(0, due - clock.now()), () => {
      if (clock.now() - due <= LATE) step(peer, { type: 'timer' });
      else known.timer = clock.setTimer(1, () => step(peer, { type: 'timer' }));
    });
  }

  function watchUse(): void {
    usage = undefined;
    if (closed || probed.size === 0) return;
    usage = clock.setTimer(USE_EVERY, () => {
      const own = sent;
      host.fastPathSent().then(
        (all) => {
          const others = all - seenSent - own;
          seenSent = all;
          sent -= own;
          for (const peer of probed.keys()) step(peer, { type: 'use', inUse: others > 0 });
          watchUse();
        },
        () => watchUse(),
      );
    });
  }

  return {
    begin(peer, underlay, adopted) {
      probed.get(peer)?.timer?.cancel();
      const probe = createPathProbe(adopted === undefined ? { full } : { full, adopted });
      const family = underlayFamily(underlay);
      const known: Probed = { family, probe, timer: undefined, paused: !isReached(peer) };
      probed.set(peer, known);
      byAddress.set(ends(peer).linkLocal, peer);
      schedule(peer, known);
      if (usage === undefined) watchUse();
    },
    forget(peer) {
      probed.get(peer)?.timer?.cancel();
      probed.delete(peer);
      byAddress.delete(ends(peer).linkLocal);
    },
    status: (peer) => probed.get(peer)?.probe.status(),
    usable(peer) {
      const status = probed.get(peer)?.probe.status();
      return status?.up === true ? Math.min(status.mtu, full) : undefined;
    },
    open(families) {
      doors[4].open();
      if (families.has(6)) doors[6].open();
      else doors[6].shut();
    },
    shut() {
      for (const door of Object.values(doors)) door.shut();
    },
    obstacle: () => doors[4].obstacle() ?? doors[6].obstacle(),
    close() {
      closed = true;
      usage?.cancel();
      for (const { timer } of probed.values()) timer?.cancel();
      for (const door of Object.values(doors)) door.close();
    },
  };
}
