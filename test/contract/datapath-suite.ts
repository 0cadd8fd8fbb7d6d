import { afterEach, describe } from 'node:test';
import type { DatapathRig } from './datapath-rig.ts';
import { ipv6Stories } from './datapath-suite-ipv6.ts';
import { receiveStories } from './datapath-suite-receive.ts';
import { relayStories } from './datapath-suite-relay.ts';
import { sendStories } from './datapath-suite-send.ts';
import { tableStories } from './datapath-suite-tables.ts';

/** What every data path promises; see ports/datapath.ts. */
export function datapathSuite(name: string, createRig: () => DatapathRig): void {
  describe(`datapath: ${name}`, () => {
    const rig = createRig();
    afterEach(() => rig.end());
    sendStories(rig);
    receiveStories(rig);
    tableStories(rig);
    ipv6Stories(rig);
    relayStories(rig);
  });
}
