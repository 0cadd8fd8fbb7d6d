import type { Traffic } from '../../doors/control.ts';
import type { PeerCounters } from '../../ports/datapath.ts';

export const NO_TRAFFIC: Traffic = {
  sentPackets: 0,
  sentBytes: 0,
  receivedPackets: 0,
  receivedBytes: 0,
  dropped: 0,
};

/** JSON has no big integers; 2^53 bytes are eight petabytes. */
export function trafficOf(counters: PeerCounters): Traffic {
  const { sentPackets, sentBytes, receivedPackets, receivedBytes, dropped } = counters;
  return {
    sentPackets: Number(sentPackets),
    sentBytes: Number(sentBytes),
    receivedPackets: Number(receivedPackets),
    receivedBytes: Number(receivedBytes),
    dropped: Number(dropped),
  };
}
